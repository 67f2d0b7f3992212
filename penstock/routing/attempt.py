"""One request of a route on its way: asks one target after the other, and hands on what the first good one says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from penstock.core.clock import Clock
from penstock.core.errors import Cancelled, DeadlineExceeded, Internal, Overloaded, PenstockError, ProviderSilent
from penstock.core.reply import Meta, Outcome, Reply
from penstock.routing.failure.chain import SPECIAL, Chain, GiveUp, Try
from penstock.routing.hedge import Hedge
from penstock.routing.patience import Patience
from penstock.routing.responses.record import merged
from penstock.routing.watched import Asked
from penstock.telemetry.logs import logger

log = logger("routing")


def _endless(_: str) -> Patience | None:
    return None


def _silence(reply: Reply, blames: bool) -> PenstockError:
    """The error of a target that has not begun to answer."""
    if not reply.working:
        return Overloaded("the request waited too long for its turn")
    if blames:
        return ProviderSilent("the model did not begin to answer in time")
    return DeadlineExceeded("the model did not begin to answer in its share of the time")


class Attempt:
    """`reply`: what the caller gets. Nothing is asked again once an event of it went out.

    `patience`: seconds that a target may be silent while others are left; `hedge_s`: after how long without a word the
    next is asked beside it; `heard`: gets what is said; `whole`: nothing goes out before
    the end, so that also an answer that breaks in the middle can be given by somebody else.
    """

    def __init__(
        self,
        id: str,
        chain: Chain,
        ask: Asked,
        clock: Clock,
        meta: Meta,
        on_end: Callable[[Reply, Outcome], None],
        *,
        patience: Callable[[str], Patience | None] = _endless,
        hedge_s: float | None = None,
        heard: list[Any] | None = None,
        whole: bool = False,
    ):
        self.id = id
        self.reply = Reply(meta, self._close)
        self._chain = chain
        self._ask = ask
        self._clock = clock
        self._on_end = on_end
        self._patience = patience
        self._hedge_s = hedge_s
        self._heard = heard
        self._kept: list[Any] | None = [] if whole else None
        self._inner: Reply | None = None
        self._hedge: Hedge | None = None
        self._began = False
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Asks the first target; returns as soon as one has taken the request, or none will."""
        await self._try(self._chain.begin(self._clock()))

    async def _try(self, step: Try | GiveUp) -> None:
        """Asks targets until one takes the request."""
        while isinstance(step, Try):
            if (pause := step.at - self._clock()) > 0:
                await asyncio.sleep(pause)
            if self.reply.done:
                self._chain.done()
                return
            try:
                inner = await self._ask(step.target)
            except PenstockError as error:
                step = self._chain.failed(error, self._clock())
            else:
                self._follow(inner)
                return
        self._end(step.error)

    def _follow(self, inner: Reply) -> None:
        """This target has taken the request."""
        if self.reply.done:
            self._chain.done()
            inner.close()
            return
        self._hedge = None
        if self._hedge_s is not None and self._chain.others and not inner.done:
            self._hedge = Hedge(inner, self._chain.hedge, self._ask, self._hedge_s)
            inner = self._hedge.reply
        self._inner = inner
        inner.on_alive = self._lives
        self._wait()
        inner.add_done_callback(self._news)

    def _wait(self) -> None:
        """Watches for silence, from now on, while there is somebody else to ask."""
        self._rest()
        inner, patience = self._inner, self._patience(self._chain.target) if self._chain.others else None
        if inner is not None and not inner.done and patience is not None:
            wait, ring = max(0.0, patience.seconds), asyncio.get_running_loop().call_later
            self._timer = ring(wait, self._too_slow, inner, patience.blames)

    def _lives(self) -> None:
        """Somebody works on it: silence counts from here."""
        if self._timer is not None:
            self._wait()

    def _too_slow(self, inner: Reply, blames: bool) -> None:
        """No word in time: somebody else is asked. Where nobody had begun to work on it, nobody is to blame."""
        self._timer = None
        if inner is self._inner and not self._began and self._chain.others:
            inner.abandon(_silence(inner, blames))

    def _news(self, inner: Reply) -> None:
        """Hands events on; at the end, the outcome, or the request to somebody else."""
        if inner is not self._inner:
            return
        if events := inner.take():
            self._pass_on(inner, events)
        if self.reply.done:
            return
        if inner.outcome is None:
            inner.add_done_callback(self._news)
        else:
            self._inner = None
            self._ended(inner, inner.outcome)

    def _pass_on(self, inner: Reply, events: list[Any]) -> None:
        if self._kept is not None:
            self._rest()
            self._kept += events
            return
        if not self._began:
            self._begin(inner)
        self._say(events)

    def _say(self, events: list[Any]) -> None:
        if self._heard is not None:
            self._heard.extend(events)
        self.reply.emit_all(events)

    def _hold(self, events: list[Any]) -> None:
        """The same for the last ones."""
        if self._heard is not None:
            self._heard.extend(events)
        self.reply.hold(events)

    def _begin(self, inner: Reply) -> None:
        self._began = True
        self._rest()
        self._chain.done()
        self._adopt(inner.meta)

    def _ended(self, inner: Reply, outcome: Outcome) -> None:
        self._rest()
        self._adopt(inner.meta)
        if not isinstance(outcome, PenstockError):
            self._hold(merged(self._kept or []))
        if self._began or not isinstance(outcome, PenstockError):
            self._end(outcome)
            return
        if self._kept is not None:
            self._kept = []
        step = self._chain.failed(outcome, self._clock())
        if isinstance(step, GiveUp):
            self._end(step.error)
        else:
            self._task = asyncio.get_running_loop().create_task(self._go_on(step))

    async def _go_on(self, step: Try) -> None:
        """The next targets, when the caller already waits for the reply."""
        try:
            await self._try(step)
        except Exception:
            log.exception("bug", request_id=self.id)
            self._end(Internal("an internal error; the log has it under this request id"))

    def _adopt(self, inner: Meta) -> None:
        """The model that answers, and its times, with what the route knows."""
        own, chain = self.reply.meta, self._chain
        own.answered_by(inner)
        own.tries = chain.tries
        own.fallback = own.fallback or chain.target != chain.first
        if self._hedge is not None and self._hedge.won:
            own.why, own.fallback = f"hedge: {chain.target} was slow", True
        if inner.cache == "hit":
            own.cache, own.age_s, own.cost = inner.cache, inner.age_s, inner.cost
        if (error := chain.first_error) is not None and chain.target != chain.first:
            own.why = f"fallback: {chain.first} answered {error.code}"
        if own.degraded or chain.target in SPECIAL:
            own.degraded = chain.target

    def _end(self, outcome: Outcome) -> None:
        self._rest()
        self._chain.done()
        if not self.reply.done:
            self._on_end(self.reply, outcome)
            self.reply.settle(outcome)

    def _close(self) -> None:
        """The caller has left, or reads too slowly."""
        self._rest()
        self._chain.done()
        inner, self._inner = self._inner, None
        if inner is not None:
            inner.close()
            self._adopt(inner.meta)
        if self._task is not None:
            self._task.cancel()
        outcome = self.reply.outcome
        self._on_end(self.reply, outcome if outcome is not None else Cancelled("the request was cancelled"))

    def _rest(self) -> None:
        """Nobody is waited for any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
