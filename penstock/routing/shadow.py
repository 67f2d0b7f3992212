"""A sample of a route's requests is answered a second time, unseen, by another model: how often do both agree?"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from penstock.core.clock import Clock
from penstock.core.errors import PenstockError
from penstock.core.ledger import Entry, Feedback, Ledger
from penstock.core.model import versioned
from penstock.core.reply import Meta, Outcome, Reply
from penstock.core.request import Handler, Request
from penstock.routing.agreement import of_outcomes
from penstock.routing.settings import ShadowSettings
from penstock.telemetry.logs import logger

log = logger("routing")
AT_ONCE = 8
"""Shadow calls under way at once; with more, a request is not sampled."""
PATIENCE_S = 120.0
LAST = 9
"""Their priority: behind whoever waits for an answer."""


class Shadow:
    """Of one route. What a shadow call takes is written down as its own request of the same tenant, and why says so; no
    limit counts it. Nobody waits for it, and no error of it is told."""

    def __init__(
        self,
        route: str,
        settings: ShadowSettings,
        handler: Handler,
        ledger: Ledger,
        price: Callable[[str, Meta], float | None],
        clock: Clock,
        rng: random.Random,
    ):
        self.calls = 0
        self._route = route
        self._settings = settings
        self._handler = handler
        self._ledger = ledger
        self._price = price
        self._clock = clock
        self._rng = rng
        self._tasks: set[asyncio.Task[None]] = set()

    def samples(self) -> bool:
        """Whether the next request is one of the sample."""
        return len(self._tasks) < AT_ONCE and self._rng.random() < self._settings.share

    def compare(self, request: Request, meta: Meta, events: Sequence[Any], outcome: Outcome) -> None:
        """Asks the other model what was answered so, unless it is the one that did."""
        if isinstance(outcome, PenstockError) or self._settings.model in (meta.model, f"{meta.model}@{meta.version}"):
            return
        self.calls += 1
        task = asyncio.get_running_loop().create_task(self._compared(request, events, outcome))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Gives up what is under way."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _compared(self, request: Request, events: Sequence[Any], outcome: Outcome) -> None:
        model, version = versioned(self._settings.model)
        began = self._clock()
        asked = msgspec.structs.replace(
            request,
            id=f"{request.id}-shadow",
            model=model,
            version=version,
            priority=LAST,
            deadline=began + PATIENCE_S,
            hints=None,
            whole=True,
        )
        try:
            reply = await self._handler(asked)
            others = [event async for event in reply]
        except PenstockError as error:
            log.info("shadow_failed", route=self._route, model=model, code=error.code)
            return
        assert reply.outcome is not None
        score = of_outcomes(events, outcome, others, reply.outcome)
        self._ledger.feedback(Feedback(request.id, request.principal.tenant, time.time(), score, "shadow"))
        self._ledger.record(self._entry(asked, reply, self._clock() - began))

    def _entry(self, asked: Request, reply: Reply, total_s: float) -> Entry:
        meta, usage = reply.meta, reply.meta.usage
        return Entry(
            id=asked.id,
            at=time.time(),
            tenant=asked.principal.tenant,
            key=asked.principal.key,
            name=self._route,
            route=self._route,
            model=meta.model,
            version=meta.version,
            why="shadow",
            tries=1,
            status=200,
            code="",
            cache="",
            degraded="",
            rows=1,
            prompt_tokens=usage.prompt_tokens if usage else 0,
            cached_tokens=usage.cached_tokens if usage else 0,
            completion_tokens=usage.completion_tokens if usage else 0,
            queue_s=meta.queue_s,
            first_s=meta.first_s,
            total_s=total_s,
            busy_s=meta.busy_s,
            cost=self._price(meta.model, meta),
            premium=0.0,
            shadow=True,
        )
