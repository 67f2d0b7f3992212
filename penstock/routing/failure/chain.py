"""One request's way through its targets: who is asked next, when, and when to give up. Pure."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from penstock.core.deadline import Deadline
from penstock.core.errors import DeadlineExceeded, PenstockError
from penstock.routing.failure.budget import RetryBudget
from penstock.routing.failure.verdicts import Verdict, verdict

ENOUGH_S = 0.005
"""With less time left than this nobody else is asked."""


@dataclass(frozen=True, slots=True)
class Try:
    """Ask this target, at this moment."""

    target: str
    at: float
    retry: bool = False


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Tell this error."""

    error: PenstockError


class Chain:
    """`targets`: in order, each but once. A retry asks the same target again, within the shared budget, and only when
    nobody else of the order is left or a pause is short; a fallback is the next target, and needs no budget."""

    def __init__(self, targets: Sequence[str], budget: RetryBudget, *, deadline: Deadline, rng: random.Random):
        self._targets = list(dict.fromkeys(targets))
        self._budget = budget
        self._deadline = deadline
        self._rng = rng
        self._place = 0
        self._asked = 0
        self._first: PenstockError | None = None
        self._retrying = False
        self.tries = 0

    def begin(self, now: float) -> Try:
        """The first target."""
        self.tries = self._asked = 1
        return Try(self._targets[0], now)

    def failed(self, error: PenstockError, now: float) -> Try | GiveUp:
        """What to do after the current target's error, with nothing told to the caller yet."""
        self.done()
        kind = verdict(error)
        self._first = self._first if self._first is not None else error
        if kind is Verdict.FINAL:
            return GiveUp(error)
        if self._deadline - now < ENOUGH_S:
            return GiveUp(DeadlineExceeded("no model of the route has answered in time"))
        if kind is Verdict.AGAIN and (retry := self._retry(error, now)) is not None:
            return retry
        return self._next(now)

    def done(self) -> None:
        """The current try has ended, or its answer has begun: its place among the retries is free."""
        if self._retrying:
            self._retrying = False
            self._budget.give()

    def _retry(self, error: PenstockError, now: float) -> Try | None:
        if self._asked >= self._budget.settings.tries:
            return None
        pause = self._budget.pause(self._asked - 1, self._rng)
        wait = max(pause, error.retry_after_s or 0.0) if not self._others else pause
        if self._others and (error.retry_after_s or 0.0) > pause:
            return None
        if now + wait > self._deadline - ENOUGH_S or not self._budget.take():
            return None
        self._retrying = True
        self._asked += 1
        self.tries += 1
        return Try(self._targets[self._place], now + wait, retry=True)

    def _next(self, now: float) -> Try | GiveUp:
        if not self._others:
            assert self._first is not None
            return GiveUp(self._first)
        self._place += 1
        self._asked = 1
        self.tries += 1
        return Try(self._targets[self._place], now)

    @property
    def _others(self) -> int:
        """How many targets come after this one."""
        return len(self._targets) - self._place - 1
