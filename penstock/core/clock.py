"""Time, as something that is handed in: the system's, or a still one for tests and simulations."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Seconds that only grow; the origin means nothing."""

    def __call__(self) -> float: ...


system_clock: Clock = time.monotonic


class StillClock:
    """A clock that moves only when told to.

    >>> clock = StillClock()
    >>> clock.advance(1.5)
    >>> clock()
    1.5
    """

    def __init__(self, start: float = 0.0):
        self.now = start

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds
