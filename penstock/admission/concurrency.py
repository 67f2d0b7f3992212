"""Overload protection: turns requests away before they wait, once a model takes longer than it usually does."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial

from penstock.admission.gradient import Gradient
from penstock.admission.settings import AdaptiveSettings
from penstock.core.clock import Clock, system_clock
from penstock.core.errors import DeadlineExceeded, Overloaded, PenstockError
from penstock.core.generation import Generation
from penstock.core.reply import Reply
from penstock.core.request import Handler, Request


class AdaptiveConcurrency:
    """The step: a bound of its own for every model and route, by the name that is asked for.

    How long a request takes is, of generated text, the time to its first token: the rest depends on how much is said.
    `inner`: names of models that other models of this server call; requests to them may be part of work that was
    accepted already, and pass.
    """

    def __init__(
        self,
        handler: Handler,
        settings: AdaptiveSettings,
        clock: Clock = system_clock,
        inner: Collection[str] = (),
    ):
        self._handler = handler
        self._settings = settings
        self._clock = clock
        self._inner = frozenset(inner)
        self._bounds: dict[str, Gradient] = {}

    @property
    def bounds(self) -> Mapping[str, Gradient]:
        """By name; only those that have answered something."""
        return self._bounds

    async def __call__(self, request: Request) -> Reply:
        """Passes the request on. Raises `Overloaded` over the bound."""
        name = request.model.partition("@")[0]
        if name in self._inner or _counts_only(request):
            return await self._handler(request)
        bound = self._bounds.get(name)
        if bound is not None and bound.in_flight >= bound.limit:
            raise Overloaded(f"{bound.in_flight} requests to {name!r} are under way; try again shortly")
        began = self._clock()
        try:
            reply = await self._handler(request)
        except Overloaded:
            if bound is not None:
                bound.dropped()
            raise
        if bound is None:
            bound = self._bounds.setdefault(name, Gradient(self._settings))
        bound.in_flight += 1
        reply.add_end_callback(partial(self._ended, bound, began))
        return reply

    def _ended(self, bound: Gradient, began: float, reply: Reply) -> None:
        now = self._clock()
        if not isinstance(reply.outcome, PenstockError):
            if reply.meta.cache != "hit":
                bound.took(reply.meta.first_s or now - began, now)
        elif isinstance(reply.outcome, DeadlineExceeded | Overloaded):
            bound.dropped()
        bound.in_flight -= 1


def _counts_only(request: Request) -> bool:
    return isinstance(request.payload, Generation) and request.payload.count_only
