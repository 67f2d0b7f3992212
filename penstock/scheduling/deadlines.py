"""Which work expires when: constant-time to add and remove, for timers that rarely fire. Pure.

A hashed timing wheel (Varghese and Lauck, 1987): buckets of `TICK_S`, a heap over the buckets.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Hashable
from typing import Generic, Protocol, TypeVar

from penstock.core.deadline import NEVER, Deadline

TICK_S = 0.01


class Due(Hashable, Protocol):
    """Whatever has a deadline."""

    @property
    def deadline(self) -> Deadline: ...


_D = TypeVar("_D", bound=Due)


class Deadlines(Generic[_D]):
    """The deadlines of all work that has not ended; each is reported at most `TICK_S` late."""

    def __init__(self) -> None:
        self._buckets: dict[int, dict[_D, None]] = {}
        self._order: list[int] = []

    def add(self, work: _D) -> None:
        """Watches work; work without a deadline is ignored."""
        if work.deadline == NEVER:
            return
        tick = int(work.deadline / TICK_S) + 1
        bucket = self._buckets.get(tick)
        if bucket is None:
            bucket = self._buckets[tick] = {}
            heapq.heappush(self._order, tick)
        bucket[work] = None

    def remove(self, work: _D) -> None:
        """Stops watching; unknown work is ignored."""
        if work.deadline == NEVER:
            return
        tick = int(work.deadline / TICK_S) + 1
        bucket = self._buckets.get(tick)
        if bucket is not None:
            bucket.pop(work, None)
            if not bucket:
                del self._buckets[tick]
                self._tidy()

    def expired(self, now: float) -> list[_D]:
        """Removes and returns the work whose deadline has passed."""
        due: list[_D] = []
        while self._order and self._order[0] * TICK_S <= now:
            tick = heapq.heappop(self._order)
            due.extend(self._buckets.pop(tick, ()))
        due.sort(key=lambda work: work.deadline)
        return due

    def next(self) -> float:
        """The moment at which to ask again; infinity when nothing is watched."""
        while self._order and self._order[0] not in self._buckets:
            heapq.heappop(self._order)
        return self._order[0] * TICK_S if self._order else math.inf

    def _tidy(self) -> None:
        """Forgets ticks that nobody waits for, so that long deadlines do not pile up."""
        if len(self._order) > 2 * len(self._buckets) + 64:
            self._order = sorted(self._buckets)
