"""How many requests may be under way at once, learned from how long they take. Pure.

After the gradient algorithm of Netflix's concurrency-limits (Gradient2): while requests take about as long as they
usually do, the bound rises by the square root of itself; when they take longer, because they wait for one another, it
sinks with how much longer. Unlike there, overload that lasts does not become what is usual.
"""

from __future__ import annotations

import math

from penstock.admission.settings import AdaptiveSettings

WINDOW_S = 0.5
"""At least so long, and so many requests, are put together before the bound moves."""
WINDOW = 10
MEMORY = 200
"""Windows that what is usual is made of."""
DROPPED = 0.9
"""What is left of the bound when a request was turned away further down, or came too late."""


class Gradient:
    """`limit`: the bound; `in_flight`: requests under way; `accepted`: whether the model ever took one; `usual_s`: how
    long they take."""

    __slots__ = (
        "_began",
        "_count",
        "_dropped",
        "_most",
        "_sum",
        "_windows",
        "accepted",
        "in_flight",
        "limit",
        "settings",
        "usual_s",
    )

    def __init__(self, settings: AdaptiveSettings):
        self.settings = settings
        self.limit = float(min(max(settings.initial, settings.least), settings.most))
        self.in_flight = 0
        self.accepted = False
        self.usual_s = 0.0
        self._windows = 0
        self._began = self._sum = 0.0
        self._count = self._most = 0
        self._dropped = False

    def took(self, seconds: float, now: float) -> None:
        """A request took so long."""
        if not self._count:
            self._began = now
        self._count += 1
        self._sum += seconds
        self._most = max(self._most, self.in_flight)
        if self._count >= WINDOW and now - self._began >= WINDOW_S:
            self._move(max(1e-9, self._sum / self._count))
            self._forget(now)

    def dropped(self) -> None:
        """A request was turned away further down, or came too late: less at once. Once per window."""
        if not self._dropped:
            self._dropped = True
            self.limit = max(float(self.settings.least), self.limit * DROPPED)

    def _move(self, recent_s: float) -> None:
        self._learn(recent_s)
        # A bound that was not even half used says nothing about what would happen beyond it.
        if self._dropped or self._most < self.limit / 2:
            return
        own = self.settings
        gradient = min(1.0, max(0.5, own.tolerance * self.usual_s / recent_s))
        wanted = self.limit * gradient + math.sqrt(self.limit)
        moved = self.limit + own.smoothing * (wanted - self.limit)
        self.limit = min(float(own.most), max(float(own.least), moved))

    def _learn(self, recent_s: float) -> None:
        """What is usual sinks with every window, and rises only in those in which the bound kept nobody out, or was as
        low as it gets: under overload requests take longer because they wait, and that must not become usual."""
        self._windows = min(self._windows + 1, MEMORY)
        lowest = self.limit <= 1.5 * self.settings.least
        if recent_s < self.usual_s or self._windows == 1 or lowest or self._most < self.limit - 1:
            self.usual_s += (recent_s - self.usual_s) / self._windows
        # What was learned under load is unlearned faster.
        if self.usual_s > 2 * recent_s:
            self.usual_s *= 0.95

    def _forget(self, now: float) -> None:
        self._began, self._count, self._sum = now, 0, 0.0
        self._most, self._dropped = 0, False
