"""The step of the path that knows routes: signals → decision → targets, one after the other until one answers."""

from __future__ import annotations

import random
from collections.abc import Mapping
from functools import partial
from typing import Any

from penstock.core.clock import Clock, system_clock
from penstock.core.errors import NotCached, PenstockError
from penstock.core.reply import Outcome, Reply
from penstock.core.request import Handler, Request
from penstock.routing.asker import Asker
from penstock.routing.attempt import Attempt
from penstock.routing.failure.budget import RetryBudget
from penstock.routing.failure.chain import Chain
from penstock.routing.pool import Pool
from penstock.routing.responses.responses import Responses
from penstock.routing.route import Route
from penstock.routing.signals import UNJUDGED, Session, Sessions, signals_of
from penstock.routing.watched import Asked


class Router:
    """Passes on what is no route's. `routes`: by name; `budget`: of retries, for all of them."""

    def __init__(
        self,
        handler: Handler,
        routes: Mapping[str, Route],
        pool: Pool,
        budget: RetryBudget,
        clock: Clock = system_clock,
        rng: random.Random | None = None,
        attempt: type[Attempt] = Attempt,
    ):
        self.routes = dict(routes)
        self.pool = pool
        self.budget = budget
        self.sessions = Sessions()
        self._handler = handler
        self._clock = clock
        self._rng = rng or random.Random()
        self._attempt = attempt

    async def __call__(self, request: Request) -> Reply:
        """The reply of the first target that answers. Raises what they said when none takes it."""
        route = self.routes.get(request.model)
        if route is not None and route.responses is not None:
            return await self._kept_or_routed(route, route.responses, request)
        if request.hints is not None and request.hints.cached_only:
            raise NotCached("no answers are kept under this name; ask without Cache-Control: only-if-cached")
        return await (self._handler(request) if route is None else self._routed(route, request))

    async def _kept_or_routed(self, route: Route, responses: Responses, request: Request) -> Reply:
        session, now = route.session(request), self._clock()
        floor = self.sessions.floor(session, now, route.settings.sticky_s)
        reply = await responses.answer(request, partial(self._routed, route), floor)
        if reply.meta.cache == "hit":
            self.sessions.reached(session, route.quality(reply.meta), now)
        return reply

    async def stop(self) -> None:
        """Gives up what nobody waits for."""
        for route in self.routes.values():
            if route.shadow is not None:
                await route.shadow.stop()

    async def _routed(self, route: Route, request: Request) -> Reply:
        judged = UNJUDGED if route.judge is None else await route.judge(request)
        now, settings = self._clock(), route.settings
        session = route.session(request)
        floor = self.sessions.floor(session, now, settings.sticky_s)
        way = route.way(signals_of(request, settings, judged, session, floor), now, self._rng)
        deadline = route.deadline(request.deadline, now)
        heard: list[Any] | None = [] if route.shadow is not None and route.shadow.samples() else None
        own = deadline < request.deadline
        attempt = self._attempt(
            request.id,
            Chain(way.targets, self.budget, deadline=deadline, rng=self._rng),
            Asker(
                route,
                request,
                self._handler,
                self.pool,
                self._clock,
                deadline,
                whole=request.whole and not route.listens(way, deadline),
                stale=_stale(route, request, floor),
            ),
            self._clock,
            route.meta(way, request),
            partial(self._ended, route, request, session, heard),
            patience=lambda target: route.patience(target, way, deadline, self._clock(), own=own),
            hedge_s=None if settings.hedge_ms is None else settings.hedge_ms / 1000,
            heard=heard,
            whole=request.whole,
        )
        return await self._started(attempt)

    async def _started(self, attempt: Attempt) -> Reply:
        self.budget.active += 1
        try:
            await attempt.start()
        except BaseException:
            attempt.reply.close()
            raise
        return attempt.reply

    def _ended(
        self,
        route: Route,
        request: Request,
        session: Session,
        heard: list[Any] | None,
        reply: Reply,
        outcome: Outcome,
    ) -> None:
        """A routed request's only end."""
        self.budget.active -= 1
        now, meta = self._clock(), reply.meta
        route.ended(meta, now)
        if session.key and not isinstance(outcome, PenstockError):
            self.sessions.reached(session, route.quality(meta), now)
        if heard is not None and route.shadow is not None:
            route.shadow.compare(request, meta, heard, outcome)


def _stale(route: Route, request: Request, floor: float) -> Asked | None:
    """What the target "cached" answers."""
    responses = route.responses
    return None if responses is None else lambda _: responses.stale(request, floor)
