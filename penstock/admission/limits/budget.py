"""So much money per calendar day or month, in UTC. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple

Period = Literal["day", "month"]
NEARLY = 0.8
"""The share of a budget from which on somebody should know."""
STEP_S = 3600.0
"""Steps back of the clock that are no news: those over midnight do not bring the day before back."""
DUST = 1e-9
"""USD that sums of parts may be off."""


class Span(NamedTuple):
    """One day or month: from `begin` until before `end`, Unix time."""

    begin: float
    end: float


def span_of(period: Period, at: float) -> Span:
    """The day or month that a moment (Unix time) lies in."""
    begin = datetime.fromtimestamp(at, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if period == "day":
        return Span(begin.timestamp(), (begin + timedelta(days=1)).timestamp())
    begin = begin.replace(day=1)
    return Span(begin.timestamp(), (begin + timedelta(days=32)).replace(day=1).timestamp())


class Budget:
    """`limit` USD per `period`. `spent`: in this one; `reserved`: what the requests under way are expected to cost."""

    __slots__ = ("_before", "limit", "period", "reserved", "span", "spent", "told")

    def __init__(self, period: Period, limit: float, at: float):
        self.period: Period = period
        self.limit = limit
        self.span = span_of(period, at)
        self.spent = self.reserved = 0.0
        self.told = 0.0
        self._before = (self.span, 0.0)

    def roll(self, at: float) -> None:
        """Begins anew where a new day or month has begun."""
        if at >= self.span.end:
            self._before = (self.span, self.spent)
            self.span, self.spent, self.told = span_of(self.period, at), 0.0, 0.0
        elif at < self.span.begin - STEP_S:
            self._go_back(at)

    def _go_back(self, at: float) -> None:
        """The clock had been ahead: what was spent since then was spent in the day or month that it is."""
        (span, spent), self.span = self._before, span_of(self.period, at)
        if span == self.span:
            self.spent += spent

    @property
    def used_up(self) -> bool:
        """Whether nothing is left until the next day or month."""
        return self.spent >= self.limit - DUST

    def has(self, cost: float, at: float) -> bool:
        """Whether a request that is expected to cost so much may be taken, besides those under way."""
        self.roll(at)
        used = self.spent + self.reserved
        # A request that is expected to cost more than all of it is allowed while nothing was spent: it may be cheaper.
        return not self.used_up and (used <= DUST or used + cost <= self.limit + DUST)

    def spend(self, cost: float, at: float) -> None:
        """A request has cost so much."""
        self.roll(at)
        self.spent += cost

    def news(self) -> float:
        """The share of the budget that was used up since somebody was told: 0.8, 1.0, or 0 for nothing new."""
        share = self.spent / self.limit if self.limit else 1.0
        level = 1.0 if share >= 1 else NEARLY if share >= NEARLY else 0.0
        if level <= self.told:
            return 0.0
        self.told = level
        return level

    def remaining(self, at: float) -> float:
        """USD that are left."""
        self.roll(at)
        return max(0.0, self.limit - self.spent - self.reserved)
