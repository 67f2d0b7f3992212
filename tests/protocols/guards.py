"""A small guard: keys are words, and each allows what it says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from penstock.core.errors import Forbidden, Unauthenticated
from penstock.core.principal import VERBS, Principal, Verb


class Words:
    """`keys`: the callers by their keys. Keeps what was asked of it."""

    def __init__(self, keys: Mapping[str, Principal]):
        self.keys = {key.encode(): principal for key, principal in keys.items()}
        self.asked: list[Verb] = []

    asks = True

    def admit(self, headers: dict[bytes, bytes], verb: Verb) -> Principal:
        self.asked.append(verb)
        key = headers.get(b"authorization", b"").removeprefix(b"Bearer ")
        principal = self.keys.get(key or headers.get(b"x-api-key") or headers.get(b"api-key", b""))
        if principal is None:
            raise Unauthenticated("this server needs an API key")
        if verb not in principal.verbs:
            raise Forbidden(f"this key does not allow {verb}")
        return principal


def principal(verbs: Iterable[str] = VERBS, routes: Iterable[str] | None = None, tenant: str = "acme") -> Principal:
    """A caller who may do this with these models and routes."""
    return Principal(tenant, f"id-{tenant}", frozenset(verbs), None if routes is None else frozenset(routes))
