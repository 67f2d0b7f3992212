"""May it come in now: a bound on all requests in flight, and none while the server stops."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from penstock.admission.settings import AdaptiveSettings
from penstock.core.errors import Draining, Overloaded
from penstock.core.reply import Reply
from penstock.core.request import Handler, Request


class AdmissionSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the server takes on at once."""

    max_in_flight: int = 4096
    """Requests accepted and not yet answered, over all models; more are refused with 503."""
    adaptive: AdaptiveSettings | None = None
    """Also bound them by name, by how much longer than usual they take (default: off)."""


class Gate:
    """Counts every accepted request from its arrival until its reply ends, however it ends.

    `inner`: names of models that other models of this server call. Requests to them may be part of work that was
    accepted already, and refusing those could stop it for ever: they pass uncounted, and the models' own queues
    bound them. However many there are, they take no place from others.
    """

    def __init__(self, handler: Handler, settings: AdmissionSettings, inner: Collection[str] = ()):
        self._handler = handler
        self._limit = settings.max_in_flight
        self._inner = frozenset(inner)
        self.in_flight = 0
        self.draining = False

    async def __call__(self, request: Request) -> Reply:
        """Passes the request on. Raises `Overloaded` over the bound, `Draining` when stopping."""
        if self._is_inner(request):
            return await self._handler(request)
        if self.draining:
            raise Draining("the server is stopping; send the request elsewhere")
        if self.in_flight >= self._limit:
            raise Overloaded(f"{self._limit} requests are in flight; try again shortly")
        # It may wait further down before there is a reply.
        self.in_flight += 1
        try:
            reply = await self._handler(request)
        except BaseException:
            self.in_flight -= 1
            raise
        reply.add_end_callback(self._left)
        return reply

    def _is_inner(self, request: Request) -> bool:
        return bool(self._inner) and request.model.partition("@")[0] in self._inner

    def _left(self, _: Reply) -> None:
        self.in_flight -= 1
