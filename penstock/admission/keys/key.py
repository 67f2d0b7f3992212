"""An API key as it is seen: whose it is, and what it allows. Its secret is nowhere in it."""

from __future__ import annotations

import re
from collections.abc import Collection

import msgspec

from penstock.core.errors import BadInput
from penstock.core.nearest import closest
from penstock.core.principal import VERBS, Principal

INTERNAL = "internal"
"""The tenant of what models of this server ask one another."""
INTERNAL_ID = "penstockself"
"""The id of their key; made ids have no l, so that none is the same."""
DEFAULT_VERBS = ("infer", "read")
_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_LONG = 100


class Key(msgspec.Struct, frozen=True):
    """An API key. Times are Unix time. `routes`: names of routes and models (None: all). `previous_until`: until then
    the secret before the last rotation is good too. `used_at`: to the minute."""

    id: str
    tenant: str
    name: str
    verbs: tuple[str, ...]
    routes: tuple[str, ...] | None
    created_at: float
    expires_at: float | None = None
    revoked_at: float | None = None
    previous_until: float | None = None
    used_at: float | None = None

    def state(self, now: float) -> str:
        """active, expired or revoked."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "active"

    def principal(self) -> Principal:
        """Who asks with it."""
        routes = None if self.routes is None else frozenset(self.routes)
        return Principal(self.tenant, self.id, frozenset(self.verbs), routes)


def check(tenant: str, name: str, verbs: Collection[str], routes: Collection[str] | None) -> None:
    """Raises `BadInput` for what no key can have."""
    if not _TENANT.fullmatch(tenant):
        raise wrong("tenant", "a tenant is up to 64 letters, digits and . _ @ -, such as acme or team-a")
    if tenant == INTERNAL:
        raise wrong("tenant", f"the tenant {INTERNAL!r} is what models of the server ask one another; take another")
    if len(name) > _LONG or not name.isprintable():
        raise wrong("name", f"a name is up to {_LONG} characters on one line")
    if not verbs:
        raise wrong("verbs", f"a key must allow something: {', '.join(VERBS)}")
    for verb in verbs:
        if verb not in VERBS:
            near = closest(verb, VERBS)
            raise wrong("verbs", f"{verb!r} is no verb; " + (f"did you mean {near}?" if near else ", ".join(VERBS)))
    if routes is not None and not (routes and all(r and r == r.strip() and r.isprintable() for r in routes)):
        raise wrong("routes", "routes are names of routes and models; leave them out to allow all")


def wrong(param: str, message: str) -> BadInput:
    """The refusal of one field."""
    error = BadInput(message)
    error.param = param
    return error
