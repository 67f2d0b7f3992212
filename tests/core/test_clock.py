"""Time that is handed in."""

from __future__ import annotations

import math

from penstock.core.clock import StillClock, system_clock
from penstock.core.deadline import NEVER, after


def test_a_still_clock_moves_only_when_told() -> None:
    clock = StillClock(5.0)
    assert clock() == clock() == 5.0
    clock.advance(1.5)
    assert clock() == 6.5


def test_the_system_clock_never_goes_back() -> None:
    assert system_clock() <= system_clock()


def test_a_deadline_is_a_moment() -> None:
    assert after(10.0, 2.5) == 12.5
    assert after(10.0, None) == NEVER == math.inf
