"""The queue: order, ageing, capacity, and counts that stay exact when work ends in the middle."""

from __future__ import annotations

import pytest

from penstock.core.errors import Overloaded
from penstock.scheduling.queue import PATIENCE_S, Lane, WorkQueue
from penstock.scheduling.turns import PLACES, place_of
from penstock.scheduling.work import Phase, Work
from tests.scheduling.works import work


def filled(*works: Work, capacity: int = 100) -> WorkQueue:
    queue = WorkQueue(capacity)
    for each in works:
        queue.push(each)
    return queue


def only(queue: WorkQueue) -> Lane:
    ((lane, _),) = queue.heads()
    return lane


def end(queue: WorkQueue, ended: Work) -> None:
    queue.removed(ended)
    ended.phase = Phase.ENDED


def test_first_in_first_out_within_a_level() -> None:
    works = [work(at=moment) for moment in (0.0, 0.1, 0.2)]
    queue = filled(*works)
    assert queue.take(only(queue), 10) == works
    assert len(queue) == 0


def test_the_more_urgent_level_goes_first() -> None:
    late, early = work(at=0.0, level=2), work(at=0.5, level=0)
    queue = filled(late, early)
    assert queue.take(only(queue), 10) == [early, late]


def test_age_beats_priority_in_the_end() -> None:
    old = work(at=0.0, level=1)
    fresh = work(at=PATIENCE_S + 0.01, level=0)
    assert (queue := filled(fresh, old)).take(only(queue), 1) == [old]
    fresh = work(at=PATIENCE_S - 0.01, level=0)
    assert (queue := filled(fresh, old)).take(only(queue), 1) == [fresh]


def test_taking_stops_before_the_limit_and_nobody_overtakes() -> None:
    first, big, small = work(1, 2, 3), work(4, 5), work(6)
    queue = filled(first, big, small)
    assert queue.take(only(queue), 4) == [first]
    assert queue.take(only(queue), 4) == [big, small]


def test_taking_gives_at_least_one() -> None:
    big = work(1, 2, 3)
    queue = filled(big, work(4))
    assert queue.take(only(queue), 0) == [big]


def test_each_key_has_its_own_line() -> None:
    a, b = work(key="a"), work(key="b")
    queue = filled(a, b)
    assert [head for _, head in queue.heads()] == [a, b]
    assert [queue.take(lane, 10) for lane, _ in list(queue.heads())] == [[a], [b]]
    assert list(queue.heads()) == []
    assert queue.lanes == {}


def test_the_queue_is_bounded_in_requests() -> None:
    queue = filled(work(1, 2, 3), work(), capacity=2)
    with pytest.raises(Overloaded, match="holds 2"):
        queue.push(work())
    assert len(queue) == 2
    assert only(queue).rows == 4


def test_room_for_several_or_none() -> None:
    queue = filled(work(), capacity=3)
    queue.check_room(2)
    with pytest.raises(Overloaded):
        queue.check_room(3)


def test_work_that_ends_leaves_the_counts_at_once_and_makes_room() -> None:
    gone, stays = work(1, 2), work(3)
    queue = filled(gone, stays, capacity=2)
    end(queue, gone)
    assert len(queue) == 1
    assert only(queue).rows == 1
    queue.push(work())
    assert queue.take(only(queue), 10)[0] is stays


def test_ended_work_in_the_middle_is_never_taken() -> None:
    works = [work(index) for index in range(5)]
    queue = filled(*works)
    for index in (1, 3):
        end(queue, works[index])
    assert queue.take(only(queue), 10) == [works[0], works[2], works[4]]
    assert len(queue) == 0


def test_many_ended_do_not_pile_up_behind_a_live_one() -> None:
    queue = filled(work(-1), capacity=1000)
    for value in range(10_000):
        passing = work(value)
        queue.push(passing)
        end(queue, passing)
    assert len(queue) == 1
    assert sum(len(line) for line in queue.lanes[None].lines.values()) < 200


def test_keys_of_ended_work_do_not_pile_up() -> None:
    queue = WorkQueue(1000)
    for value in range(10_000):
        passing = work(key=value)
        queue.push(passing)
        end(queue, passing)
    assert len(queue.lanes) < 200


def tenants_work(place: int, *, rows: int = 1, at: float = 0.0, level: int = 1, weight: float = 1.0) -> Work:
    made = work(*range(rows), at=at, level=level)
    made.place, made.weight = place, weight
    return made


def given(queue: WorkQueue, rows: int) -> dict[int, int]:
    """Rows by tenant of the next batch of so many rows."""
    found: dict[int, int] = {}
    for each in queue.take(only(queue), rows):
        found[each.place] = found.get(each.place, 0) + each.rows
    return found


def test_tenants_share_rows_whoever_came_first() -> None:
    queue = filled(*(tenants_work(1) for _ in range(50)), *(tenants_work(2, rows=5, at=9.0) for _ in range(10)))
    first = given(queue, 40)
    assert abs(first[1] - first[2]) <= 5


def test_weights_say_how_tenants_share() -> None:
    mixed = [tenants_work(place, weight=float(place)) for _ in range(90) for place in (1, 2)]
    assert given(filled(*mixed, capacity=1000), 90) == {1: 30, 2: 60}


def test_who_comes_late_does_not_wait_for_what_others_have_queued_nor_gets_what_it_missed() -> None:
    queue = filled(*(tenants_work(1) for _ in range(90)))
    queue.take(only(queue), 30)
    for _ in range(30):
        queue.push(tenants_work(2, at=5.0))
    share = given(queue, 20)
    assert abs(share[1] - share[2]) <= 1


def test_priorities_order_each_tenants_own_work() -> None:
    urgent, later = tenants_work(1, level=0), tenants_work(1, level=2)
    queue = filled(later, urgent, tenants_work(2, level=9))
    assert queue.take(only(queue), 1) == [urgent]
    assert queue.take(only(queue), 1)[0].place == 2
    assert queue.take(only(queue), 1) == [later]


def test_work_that_ends_while_it_waits_leaves_its_tenants_turn_alone() -> None:
    queue = filled(*(waiting := [tenants_work(1) for _ in range(10)]), *(tenants_work(2) for _ in range(10)))
    for each in waiting[:9]:
        end(queue, each)
    assert given(queue, 100) == {1: 1, 2: 10}


def test_tenants_have_places_and_those_without_a_name_share_one() -> None:
    assert place_of(None) == place_of("") == 0
    assert {0 < place_of(f"t{number}") < PLACES for number in range(1000)} == {True}
