"""The timing wheel: nothing early, nothing later than a tick, nothing left behind."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from penstock.scheduling.deadlines import TICK_S, Deadlines
from tests.scheduling.works import work

moments = st.floats(0.0, 100.0)


@given(st.lists(moments, max_size=30), moments)
def test_nothing_early_and_nothing_later_than_a_tick(deadlines: list[float], now: float) -> None:
    wheel = Deadlines()
    for deadline in deadlines:
        wheel.add(work(deadline=deadline))
    due = [each.deadline for each in wheel.expired(now)]
    kept = [each.deadline for each in wheel.expired(math.inf)]
    assert all(deadline <= now + 1e-9 for deadline in due)
    assert all(deadline > now - TICK_S - 1e-9 for deadline in kept)
    assert due == sorted(due)
    assert sorted(due + kept) == sorted(deadlines)


@given(st.lists(moments, min_size=1, max_size=30))
def test_asking_at_next_is_enough(deadlines: list[float]) -> None:
    wheel = Deadlines()
    for deadline in deadlines:
        wheel.add(work(deadline=deadline))
    ended = 0
    while (moment := wheel.next()) < math.inf:
        due = wheel.expired(moment)
        assert due
        assert all(moment - TICK_S - 1e-9 <= each.deadline <= moment + 1e-9 for each in due)
        ended += len(due)
    assert ended == len(deadlines)


def test_without_a_deadline_nothing_is_watched() -> None:
    wheel = Deadlines()
    wheel.add(forever := work())
    wheel.remove(forever)
    assert wheel.next() == math.inf


def test_removed_work_never_expires() -> None:
    wheel = Deadlines()
    gone, stays = work(deadline=1.001), work(deadline=1.002)
    wheel.add(gone)
    wheel.add(stays)
    wheel.remove(gone)
    wheel.remove(gone)
    assert wheel.expired(2.0) == [stays]
    assert wheel.next() == math.inf


def test_a_removed_moment_is_not_waited_for() -> None:
    wheel = Deadlines()
    wheel.add(gone := work(deadline=1.0))
    wheel.add(work(deadline=5.0))
    wheel.remove(gone)
    assert 5.0 <= wheel.next() <= 5.0 + TICK_S


def test_the_same_moment_can_be_used_again() -> None:
    wheel = Deadlines()
    for _ in range(3):
        wheel.add(again := work(deadline=1.0))
        wheel.remove(again)
    wheel.add(again)
    assert wheel.expired(1.0 + TICK_S) == [again]


def test_equal_deadlines_end_in_the_order_they_came() -> None:
    wheel = Deadlines()
    works = [work(deadline=1.0) for _ in range(50)]
    for each in works:
        wheel.add(each)
    assert wheel.expired(2.0) == works


def test_long_deadlines_of_ended_work_do_not_pile_up() -> None:
    wheel = Deadlines()
    for tick in range(20_000):
        wheel.add(passing := work(deadline=86_400 + tick * TICK_S))
        wheel.remove(passing)
    assert len(wheel._order) < 200
    assert not wheel._buckets
