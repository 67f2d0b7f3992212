"""How one request of a route asks its targets: a model through the next step, or what needs no model."""

from __future__ import annotations

from penstock.core.clock import Clock
from penstock.core.deadline import Deadline
from penstock.core.errors import Overloaded, Unavailable
from penstock.core.model import versioned
from penstock.core.reply import Reply
from penstock.core.request import Handler, Request
from penstock.routing.failure.chain import SPECIAL
from penstock.routing.pool import Pool
from penstock.routing.route import Route
from penstock.routing.watched import Asked, Watched


class Asker:
    """Called with a target's name. `whole`: it may answer in one piece; `stale` gives an answer that is older than it
    should be, or nothing."""

    __slots__ = ("_clock", "_deadline", "_handler", "_request", "_route", "_stale", "_watched", "_whole")

    def __init__(
        self,
        route: Route,
        request: Request,
        handler: Handler,
        pool: Pool,
        clock: Clock,
        deadline: Deadline,
        *,
        whole: bool,
        stale: Asked | None = None,
    ):
        self._route = route
        self._request = request
        self._handler = handler
        self._clock = clock
        self._deadline = deadline
        self._stale = stale
        self._whole = whole
        self._watched = Watched(self._model, pool, clock)

    async def __call__(self, target: str) -> Reply:
        """The target's reply. Raises what it says when it does not take the request."""
        if target in SPECIAL:
            return await self._special(target)
        try:
            return await self._watched(target)
        except Overloaded:
            self._route.refused(self._clock())
            raise

    async def _model(self, target: str) -> Reply:
        return await self._handler(self._request.to(*versioned(target), self._deadline, whole=self._whole))

    async def _special(self, target: str) -> Reply:
        if target == "rule" and self._route.rule is not None:
            return await self._route.rule.reply(self._request, self._deadline)
        if target == "cached" and self._stale is not None:
            return await self._stale(target)
        if target == "refuse":
            raise Overloaded("the models of this route are overloaded; try again shortly")
        raise Unavailable("the route has no such answer")
