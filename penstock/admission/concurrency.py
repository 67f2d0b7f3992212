"""Overload protection: turns requests away before they wait, once a model takes longer than it usually does."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial

from penstock.admission.gradient import Gradient
from penstock.admission.settings import AdaptiveSettings
from penstock.core.clock import Clock, system_clock
from penstock.core.errors import DeadlineExceeded, Overloaded, PenstockError
from penstock.core.generation import Generated, Generation
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
        """By name; only those that have taken a request."""
        return self._bounds

    async def __call__(self, request: Request) -> Reply:
        """Passes the request on. Raises `Overloaded` over the bound."""
        name = request.model.partition("@")[0]
        if name in self._inner or _counts_only(request):
            return await self._handler(request)
        bound = self._bounds.get(name)
        if bound is None:
            bound = self._bounds[name] = Gradient(self._settings)
        if bound.in_flight >= bound.limit:
            raise Overloaded(f"{bound.in_flight} requests to {name!r} are under way; try again shortly")
        began = self._clock()
        # It may wait further down before there is a reply.
        bound.in_flight += 1
        try:
            reply = await self._handler(request)
        except BaseException as error:
            self._turned_away(name, bound, error)
            raise
        bound.accepted = True
        reply.add_end_callback(partial(self._ended, bound, began))
        return reply

    def _turned_away(self, name: str, bound: Gradient, error: BaseException) -> None:
        bound.in_flight -= 1
        if isinstance(error, Overloaded):
            bound.dropped()
        # Names that nobody serves must not add up.
        if not bound.accepted and not bound.in_flight:
            self._bounds.pop(name, None)

    def _ended(self, bound: Gradient, began: float, reply: Reply) -> None:
        now = self._clock()
        if not isinstance(reply.outcome, PenstockError):
            if reply.meta.cache != "hit" and (reply.meta.first_s or not isinstance(reply.outcome, Generated)):
                bound.took(reply.meta.first_s or now - began, now)
        elif isinstance(reply.outcome, DeadlineExceeded | Overloaded):
            bound.dropped()
        bound.in_flight -= 1


def _counts_only(request: Request) -> bool:
    return isinstance(request.payload, Generation) and request.payload.count_only
