"""For whom a server is: names that Host may carry, and what clients may do where the settings say nothing."""

from __future__ import annotations

from penstock.config.schema import HttpSettings
from penstock.protocols.http.app import LOOPBACK_HOSTS


def own_hosts(http: HttpSettings) -> list[str] | None:
    """Names that Host may carry: on loopback only our own, elsewhere any (None)."""
    local = not public(http) and "*" not in http.allowed_hosts
    return [*LOOPBACK_HOSTS, http.host, *http.allowed_hosts] if local else None


def public(http: HttpSettings) -> bool:
    """Whether other machines reach the server."""
    return not (http.host in ("localhost", "::1") or http.host.startswith("127."))


def may(allowed: bool | None, http: HttpSettings) -> bool:
    """Whether clients may do what goes beyond asking: as the settings say, else on loopback."""
    return own_hosts(http) is not None if allowed is None else allowed
