"""One request of a route on its way: asks one target after the other, and hands on what the first good one says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from penstock.core.clock import Clock
from penstock.core.errors import Cancelled, Internal, PenstockError
from penstock.core.reply import Meta, Outcome, Reply
from penstock.core.request import Handler, Request
from penstock.routing.failure.chain import Chain, GiveUp, Try
from penstock.telemetry.logs import logger

log = logger("routing")


class Watcher(Protocol):
    """Who wants to know how the targets do."""

    def asked(self, target: str, now: float) -> None:
        """A request goes to a target."""

    def answered(self, target: str, meta: Meta, now: float) -> None:
        """A target has answered well."""

    def failed(self, target: str, error: PenstockError, now: float) -> None:
        """A target has answered with an error, or not at all."""

    def left(self, target: str) -> None:
        """Nobody waits for a target's answer any more."""


class Attempt:
    """`reply`: what the caller gets. Nothing is asked again once an event of it went out."""

    def __init__(
        self,
        request: Request,
        chain: Chain,
        handler: Handler,
        watcher: Watcher,
        clock: Clock,
        meta: Meta,
        on_end: Callable[[Attempt, Outcome], None],
    ):
        self.request = request
        self.reply = Reply(meta, self._close)
        self._chain = chain
        self._handler = handler
        self._watcher = watcher
        self._clock = clock
        self._on_end = on_end
        self.target = ""
        self._inner: Reply | None = None
        self._began = False
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Asks the first target; returns as soon as one has taken the request, or none will."""
        await self._ask(self._chain.begin(self._clock()))

    async def _ask(self, step: Try | GiveUp) -> None:
        """Asks targets until one takes the request."""
        while isinstance(step, Try):
            if step.at > self._clock():
                await asyncio.sleep(step.at - self._clock())
            if self.reply.done:
                return
            self.target = step.target
            self._watcher.asked(step.target, self._clock())
            try:
                inner = await self._handler(replace(self.request, model=step.target))
            except PenstockError as error:
                step = self._after(error)
            except BaseException:
                self._watcher.left(self.target)
                raise
            else:
                self._inner = inner
                inner.add_done_callback(self._news)
                return
        self._end(step.error)

    def _after(self, error: PenstockError) -> Try | GiveUp:
        now = self._clock()
        self._watcher.failed(self.target, error, now)
        return self._chain.failed(error, now)

    def _news(self, inner: Reply) -> None:
        """Hands events on; at the end, the outcome, or the request to somebody else."""
        if inner is not self._inner:
            return
        events = inner.take()
        if events and not self._began:
            self._begin(inner)
        for event in events:
            self.reply.emit(event)
        if self.reply.done:
            return
        if inner.outcome is None:
            inner.add_done_callback(self._news)
        else:
            self._inner = None
            self._ended(inner, inner.outcome)

    def _begin(self, inner: Reply) -> None:
        self._began = True
        self._chain.done()
        self._adopt(inner.meta)

    def _ended(self, inner: Reply, outcome: Outcome) -> None:
        self._adopt(inner.meta)
        if not isinstance(outcome, PenstockError):
            self._chain.done()
            self._watcher.answered(self.target, inner.meta, self._clock())
            self._end(outcome)
        elif self._began:
            self._watcher.failed(self.target, outcome, self._clock())
            self._end(outcome)
        else:
            step = self._after(outcome)
            if isinstance(step, GiveUp):
                self._end(step.error)
            else:
                self._task = asyncio.get_running_loop().create_task(self._go_on(step))

    async def _go_on(self, step: Try) -> None:
        """The next targets, when the caller already waits for the reply."""
        try:
            await self._ask(step)
        except Exception:
            log.exception("bug", request_id=self.request.id)
            self._end(Internal("an internal error; the log has it under this request id"))

    def _adopt(self, inner: Meta) -> None:
        """The model that answers, and its times, with what the route knows."""
        own = self.reply.meta
        for name in _TAKEN:
            setattr(own, name, getattr(inner, name))
        own.tries = self._chain.tries

    def _end(self, outcome: Outcome) -> None:
        if not self.reply.done:
            self._on_end(self, outcome)
            self.reply.settle(outcome)

    def _close(self) -> None:
        """The caller has left, or reads too slowly."""
        self._chain.done()
        inner, self._inner = self._inner, None
        if inner is not None:
            inner.close()
            self._watcher.left(self.target)
        if self._task is not None:
            self._task.cancel()
        outcome = self.reply.outcome
        self._on_end(self, outcome if outcome is not None else Cancelled("the request was cancelled"))


_TAKEN = tuple(
    name for name in Meta.__slots__ if name not in ("age_s", "cache", "degraded", "route", "tries", "why", "cost")
)
