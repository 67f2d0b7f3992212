"""So much money per calendar day or month, in UTC. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple

Period = Literal["day", "month"]
NEARLY = 0.8
"""The share of a budget from which on somebody should know."""


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

    __slots__ = ("limit", "period", "reserved", "span", "spent", "told")

    def __init__(self, period: Period, limit: float, at: float):
        self.period: Period = period
        self.limit = limit
        self.span = span_of(period, at)
        self.spent = self.reserved = 0.0
        self.told = 0.0

    def roll(self, at: float) -> None:
        """Begins anew where a new day or month has begun."""
        if at >= self.span.end:
            self.span, self.spent, self.told = span_of(self.period, at), 0.0, 0.0

    def wait(self, cost: float, at: float) -> float:
        """Seconds until a request that is expected to cost so much may be taken (0: now)."""
        self.roll(at)
        used = self.spent + self.reserved
        # A request that is expected to cost more than all of it is allowed while nothing was spent: it may be cheaper.
        full = used >= self.limit or (used > 0 and used + cost > self.limit)
        return max(1e-3, self.span.end - at) if full else 0.0

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
