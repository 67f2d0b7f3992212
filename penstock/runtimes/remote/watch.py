"""Watches one call: from outside, a provider that says nothing looks like one that thinks."""

from __future__ import annotations

import asyncio

from penstock.core.clock import Clock
from penstock.core.deadline import Deadline
from penstock.core.errors import DeadlineExceeded, PenstockError, ProviderSilent

FINISHING_S = 1.0
"""For what may follow an answer that is whole, so that its connection can be used again."""


class Times:
    """How long one model's provider may be silent, in seconds."""

    __slots__ = ("first_s", "idle_s", "provider")

    def __init__(self, provider: str, first_s: float, idle_s: float):
        self.provider = provider
        self.first_s = first_s
        self.idle_s = idle_s


class Watch:
    """Cancels the task that made it when nothing was heard for too long, or the deadline has passed. One timer, which
    is not moved at every byte: it rings early, and looks again. `writing_s`: more time before the first piece."""

    __slots__ = ("_allowed", "_begun", "_clock", "_heard", "_loop", "_task", "_timer", "_times", "_until", "_why")

    def __init__(self, times: Times, until: Deadline, clock: Clock, writing_s: float = 0.0):
        self._times = times
        self._until = until
        self._clock = clock
        self._allowed = times.first_s + writing_s
        self._heard = clock()
        self._begun = False
        self._why: PenstockError | None = None
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._timer: asyncio.TimerHandle | None = None
        self._arm(self._heard)

    def heard(self, begun: bool) -> None:
        """Something of the reply's body has come. `begun`: something of the answer has: what comes before it, such as
        signs of life, does not end the time that a model may think."""
        self._heard = self._clock()
        if begun and not self._begun:
            self._begun = True
            self._allowed = self._times.idle_s

    def finishing(self) -> None:
        """The answer is whole."""
        self._until = min(self._until, self._clock() + FINISHING_S)
        self.stop()
        self._arm(self._clock())

    def stop(self) -> None:
        """Nobody has to be watched any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def why(self) -> PenstockError | None:
        """Why it has cancelled the task; None when somebody else did."""
        return self._why

    def forgive(self) -> None:
        """The cancelling has become an error, and the task goes on."""
        if self._task is not None:
            self._task.uncancel()

    def _arm(self, now: float) -> None:
        """Never later than an answer that begins now could fall silent."""
        wait = min(self._heard + self._allowed - now, self._until - now, self._times.idle_s)
        self._timer = self._loop.call_later(max(0.0, wait) + 0.001, self._ring)

    def _ring(self) -> None:
        now = self._clock()
        self._timer = None
        if now < min(self._heard + self._allowed, self._until):
            self._arm(now)
            return
        self._why = self._error(now)
        if self._task is not None:
            self._task.cancel()

    def _error(self, now: float) -> PenstockError:
        provider = self._times.provider
        if now >= self._until:
            return DeadlineExceeded(f"the time given has passed before {provider} had answered")
        if not self._begun:
            return ProviderSilent(f"{provider} did not begin to answer within {self._allowed:g} s")
        return ProviderSilent(f"{provider} was silent for {self._allowed:g} s")
