"""Who asks: the owner of an API key, and what the key allows."""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec

Verb = Literal["infer", "read", "metrics", "manage", "none"]
"""What a door does. infer: asks a model, gives feedback; read: looks at models and documents; metrics: the metrics
page; manage: loads, unloads, fetches models; none: probes, which need no key."""
VERBS: tuple[Verb, ...] = ("infer", "read", "metrics", "manage")


class Principal(msgspec.Struct, frozen=True):
    """The caller. `tenant`: who pays; `key`: the key's id, never the key itself ("" without one).

    `routes`: names of routes and models that it may use (None: all).
    """

    tenant: str = ""
    key: str = ""
    verbs: frozenset[str] = frozenset(VERBS)
    routes: frozenset[str] | None = None

    def may_use(self, name: str) -> bool:
        """Whether it may ask the route or model of that name."""
        return self.routes is None or name in self.routes


ANYBODY = Principal()
"""The caller where no keys are asked for."""
NOBODY = Principal(verbs=frozenset(), routes=frozenset())
"""A caller without a key where keys are asked for: it may only look whether the server lives."""


class Guard(Protocol):
    """Decides who may come in."""

    @property
    def asks(self) -> bool:
        """Whether requests need a key, also while it is not known yet whether there is one."""

    def admit(self, headers: dict[bytes, bytes], verb: Verb) -> Principal:
        """The caller, by the headers of a request. Raises `Unauthenticated` without a valid key, `Forbidden` when the
        key does not allow the verb, `Unavailable` while it is not known yet which keys there are."""
