"""The step of the path that knows routes: signals → decision → targets, one after the other until one answers."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from penstock.core.clock import Clock, system_clock
from penstock.core.errors import PenstockError
from penstock.core.reply import Outcome, Reply
from penstock.core.request import Handler, Request
from penstock.routing.asker import Asker
from penstock.routing.attempt import Attempt
from penstock.routing.failure.budget import RetryBudget
from penstock.routing.failure.chain import Chain
from penstock.routing.pool import Pool
from penstock.routing.route import Route
from penstock.routing.signals import Estimate, Sessions, session_of, signals_of


class Router:
    """Passes on what is no route's. `routes`: by name; `budget`: of retries, for all of them."""

    def __init__(
        self,
        handler: Handler,
        routes: Mapping[str, Route],
        pool: Pool,
        budget: RetryBudget,
        estimate: Estimate | None = None,
        clock: Clock = system_clock,
        rng: random.Random | None = None,
        attempt: type[Attempt] = Attempt,
    ):
        self.routes = dict(routes)
        self.pool = pool
        self.budget = budget
        self.sessions = Sessions()
        self._handler = handler
        self._estimate = estimate
        self._clock = clock
        self._rng = rng or random.Random()
        self._attempt = attempt

    async def __call__(self, request: Request) -> Reply:
        """The reply of the first target that answers. Raises what they said when none takes it."""
        route = self.routes.get(request.model)
        return await self._handler(request) if route is None else await self._routed(route, request)

    async def _routed(self, route: Route, request: Request) -> Reply:
        now, settings = self._clock(), route.settings
        session = session_of(request)
        floor = self.sessions.floor(session, now, settings.sticky_s)
        signals = signals_of(request, settings, self._estimate, session, floor)
        way = route.way(signals, now, self._rng)
        request = replace(request, deadline=route.deadline(request.deadline, now))
        attempt = self._attempt(
            request.id,
            Chain(way.targets, self.budget, deadline=request.deadline, rng=self._rng),
            Asker(route, request, self._handler, self.pool, self._clock),
            self._clock,
            route.meta(way),
            partial(self._ended, route, session),
            patience_s=route.patience_s(way),
            hedge_s=None if settings.hedge_ms is None else settings.hedge_ms / 1000,
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

    def _ended(self, route: Route, session: str, reply: Reply, outcome: Outcome) -> None:
        """A routed request's only end."""
        self.budget.active -= 1
        now, meta = self._clock(), reply.meta
        route.ended(meta, now)
        if not isinstance(outcome, PenstockError):
            self.sessions.reached(session, route.quality(meta), now)
