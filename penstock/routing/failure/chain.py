"""One request's way through its targets: who is asked next, when, and when to give up. Pure."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from penstock.core.deadline import Deadline
from penstock.core.errors import DeadlineExceeded, PenstockError, ProviderSilent, ProviderThrottled, Unavailable
from penstock.routing.failure.budget import RetryBudget
from penstock.routing.failure.verdicts import Verdict, of_the_request, verdict

ENOUGH_S = 0.005
"""With less time left than this nobody else is asked."""
MAX_WAIT_S = 5.0
"""Who says to come back later than this is not waited for."""
_WAITED = (ProviderThrottled, ProviderSilent)
"""Who said so is not asked again while others are left: it would cost as long once more."""
SPECIAL = frozenset(("cached", "rule", "refuse"))
"""Answers without a model, where a fallback or a ladder names them."""


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
    """`targets`: in order, each but once. A retry asks the same target again, within the shared budget; a fallback is
    the next target, and needs no budget: it asks somebody else, so it is no load on who is in trouble."""

    def __init__(self, targets: Sequence[str], budget: RetryBudget, *, deadline: Deadline, rng: random.Random):
        self._targets = list(dict.fromkeys(targets))
        self._budget = budget
        self._deadline = deadline
        self._rng = rng
        self._place = 0
        self._asked = 0
        self._errors: list[PenstockError] = []
        self._retrying = self._hedging = False
        self._count = len(self._targets)
        self.tries = 0

    @property
    def target(self) -> str:
        """Who is asked now."""
        return self._targets[self._place]

    @property
    def first(self) -> str:
        """Who is asked first."""
        return self._targets[0]

    @property
    def others(self) -> Sequence[str]:
        """Who comes after."""
        return self._targets[self._place + 1 :]

    @property
    def first_error(self) -> PenstockError | None:
        """Why the first was not the one."""
        return self._errors[0] if self._errors else None

    def begin(self, now: float) -> Try:
        """The first target."""
        self.tries = self._asked = 1
        return Try(self.target, now)

    def failed(self, error: PenstockError, now: float) -> Try | GiveUp:
        """What to do after the current target's error, with nothing told to the caller yet."""
        self.done()
        self._errors.append(error)
        kind, late = verdict(error), self._deadline - now < ENOUGH_S
        if kind is Verdict.FINAL and not (isinstance(error, DeadlineExceeded) and not late):
            return GiveUp(error)
        if late:
            return GiveUp(DeadlineExceeded("no model of the route has answered in time"))
        if kind is Verdict.AGAIN and (retry := self._retry(error, now)) is not None:
            return retry
        if not self.others:
            return GiveUp(self._end())
        self._place += 1
        self._asked = 1
        self.tries += 1
        return Try(self.target, now)

    def hedge(self) -> str:
        """The next model, to be asked beside the current one; "" where there is none, or no place among the retries."""
        beside = next((name for name in self.others if name not in SPECIAL), "")
        if not beside or self._hedging or not self._budget.take():
            return ""
        self._hedging = True
        self.tries += 1
        self._targets.remove(beside)
        return beside

    def done(self) -> None:
        """The current try has ended, or its answer has begun: its places among the retries are free."""
        if self._retrying:
            self._retrying = False
            self._budget.give()
        if self._hedging:
            self._hedging = False
            self._budget.give()

    def _retry(self, error: PenstockError, now: float) -> Try | None:
        if self._asked >= self._budget.settings.tries or self.target in SPECIAL:
            return None
        if self.others and isinstance(error, _WAITED):
            return None
        pause = self._budget.pause(self._asked - 1, self._rng)
        wanted = error.retry_after_s or 0.0
        if wanted > (pause if self.others else MAX_WAIT_S):
            return None
        at = now + max(pause, wanted)
        if at > self._deadline - ENOUGH_S or not self._budget.take():
            return None
        self._retrying = True
        self._asked += 1
        self.tries += 1
        return Try(self.target, at, retry=True)

    def _end(self) -> PenstockError:
        """What the caller is told when nobody has answered: the only model's own error; the request's fault, where it
        is all that went wrong; else that nobody answers now."""
        last = self._errors[-1]
        if self._count == 1 or self.target == "refuse":
            return last
        faults = [error for error in self._errors if not of_the_request(error)]
        if not faults:
            return self._errors[0]
        waits = [error.retry_after_s for error in faults if error.retry_after_s]
        codes = ", ".join(dict.fromkeys(error.code for error in self._errors))
        return Unavailable(
            f"none of this route's {self._count} models answers now; try again shortly",
            detail=f"their errors: {codes}",
            retry_after_s=min(waits, default=1.0),
        )
