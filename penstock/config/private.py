"""For whom a server is: names that Host may carry, and what clients may do where the settings say nothing."""

from __future__ import annotations

from msgspec.structs import replace

from penstock.config.schema import HttpSettings
from penstock.protocols.http.app import LOOPBACK_HOSTS


def own_hosts(http: HttpSettings) -> list[str] | None:
    """Names that Host may carry: on loopback only our own, elsewhere any (None)."""
    local = not public(http) and "*" not in http.allowed_hosts
    return [*LOOPBACK_HOSTS, http.host, *http.allowed_hosts] if local else None


def public(http: HttpSettings) -> bool:
    """Whether other machines reach the server."""
    return not (http.host in ("localhost", "::1") or http.host.startswith("127."))


def mounted(http: HttpSettings) -> HttpSettings:
    """The settings behind a server of somebody else's, which may listen anywhere: clients may do what they say, and
    nothing more."""
    return replace(http, pull=bool(http.pull), lifecycle=bool(http.lifecycle))


def may(allowed: bool | None, http: HttpSettings) -> bool:
    """Whether clients may do what goes beyond asking: as the settings say, else on loopback."""
    return own_hosts(http) is not None if allowed is None else allowed
