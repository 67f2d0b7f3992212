"""The supervisor by itself: pauses, crash loops, hung workers, loads that never end."""

from __future__ import annotations

import math
import random

import pytest

from penstock.scheduling.supervision import Life, SupervisionSettings, Supervisor

SETTINGS = SupervisionSettings(load_timeout_s=10.0, backoff_s=1.0, max_backoff_s=8.0, crash_loop_after=3)
HANG_S = 5.0


class Middle(random.Random):
    """No spread."""

    def uniform(self, a: float, b: float) -> float:
        return (a + b) / 2


def supervisor(replicas: int = 1, rng: random.Random | None = None) -> Supervisor:
    return Supervisor(replicas, SETTINGS, HANG_S, rng or Middle())


def up(replicas: int = 1) -> Supervisor:
    made = supervisor(replicas)
    made.due(0.0)
    for index in range(replicas):
        made.ready(index, 0.0)
    return made


def test_everything_starts_at_once() -> None:
    made = supervisor(3)
    assert made.next() == 0.0
    assert made.due(0.0).spawn == [0, 1, 2]
    assert made.due(0.0).spawn == []
    assert (made.up, made.was_ready) == (0, False)
    assert made.idle() is None


def test_a_loaded_worker_is_idle_and_the_longest_idle_goes_first() -> None:
    made = supervisor(2)
    made.due(0.0)
    made.ready(1, 1.0)
    made.ready(0, 2.0)
    assert made.was_ready
    assert made.up == 2
    first = made.idle()
    assert first is not None
    assert first.id == 1
    made.began(first, "batch", 3.0)
    second = made.idle()
    assert second is not None
    assert second.id == 0
    made.finished(1, 4.0)
    assert made.idle() is second


def test_pauses_double_from_the_second_death_and_are_bounded() -> None:
    made, now, pauses = supervisor(), 0.0, []
    for _ in range(8):
        assert made.due(now).spawn == [0]
        made.exited(0, now)
        pauses.append(made.next() - now)
        assert made.due(made.next() - 1e-6).spawn == []
        now = made.next()
    assert pauses == [0.0, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0, 8.0]


def test_pauses_are_spread_so_that_replicas_do_not_march_in_step() -> None:
    rng, pauses = random.Random(1), set()
    for _ in range(50):
        made = supervisor(rng=rng)
        made.exited(0, 0.0)
        made.exited(0, 0.0)
        pauses.add(made.next())
    assert len(pauses) > 40
    assert 0.8 <= min(pauses) < 0.9
    assert 1.1 < max(pauses) <= 1.2


def test_a_finished_batch_forgives() -> None:
    made = up()
    for _ in range(2):
        made.exited(0, 0.0)
    made.due(1.0)
    made.ready(0, 1.0)
    replica = made.idle()
    assert replica is not None
    made.began(replica, "batch", 1.0)
    made.finished(0, 2.0)
    assert made.deaths_in_row == 0
    made.exited(0, 3.0)
    assert made.next() == 3.0


def test_a_replica_that_cannot_load_pauses_though_another_works() -> None:
    made, now = up(2), 0.0
    for pause in (0.0, 1.0, 2.0, 4.0):
        made.exited(1, now)
        assert made.next() == now + pause
        now = made.next()
        made.due(now)
        healthy = made.idle()
        assert healthy is not None
        assert healthy.id == 0
        made.began(healthy, "batch", now)
        made.finished(0, now)


def test_a_crash_loop_is_when_all_are_down_after_several_deaths() -> None:
    made = up(2)
    for _ in range(SETTINGS.crash_loop_after):
        assert not made.crash_looping
        made.exited(0, 0.0)
    assert not made.crash_looping
    made.exited(1, 0.0)
    assert made.crash_looping
    made.due(100.0)
    assert made.crash_looping
    made.ready(0, 100.0)
    assert not made.crash_looping


def test_restarts_are_counted() -> None:
    made = up()
    made.exited(0, 0.0)
    made.exited(0, 1.0)
    assert made.restarts == 2


def test_a_batch_that_runs_too_long_is_killed_once() -> None:
    made = up()
    replica = made.idle()
    assert replica is not None
    made.began(replica, "batch", 10.0)
    assert made.next() == 10.0 + HANG_S
    assert made.due(10.0 + HANG_S - 0.001).kill == []
    assert made.due(10.0 + HANG_S).kill == [0]
    assert made.due(1000.0).kill == []
    assert made.next() == math.inf
    assert made.up == 0
    assert made.exited(0, 1000.0) == "batch"
    assert made.due(1000.0).spawn == [0]


def test_a_worker_that_was_told_to_die_gets_no_more_work() -> None:
    made = up()
    replica = made.idle()
    assert replica is not None
    made.began(replica, "batch", 0.0)
    made.due(HANG_S)
    made.finished(0, HANG_S + 0.001)
    assert made.idle() is None
    assert made.exited(0, HANG_S + 0.002) is None
    made.due(HANG_S + 0.002)
    made.ready(0, HANG_S + 1)
    assert made.idle() is replica


def test_a_load_that_never_ends_is_killed_and_tried_again() -> None:
    made = supervisor()
    made.due(0.0)
    assert made.next() == SETTINGS.load_timeout_s
    assert made.due(SETTINGS.load_timeout_s).kill == [0]
    made.ready(0, SETTINGS.load_timeout_s + 0.001)
    assert made.idle() is None
    made.exited(0, SETTINGS.load_timeout_s + 0.002)
    assert made.due(SETTINGS.load_timeout_s + 0.002).spawn == [0]


def test_an_idle_worker_may_be_idle_for_ever() -> None:
    made = up()
    assert made.next() == math.inf
    assert made.due(1e9) == type(made.due(1e9))()


@pytest.mark.parametrize("life", [Life.STARTING, Life.IDLE, Life.BUSY])
def test_a_worker_may_die_at_any_moment(life: Life) -> None:
    made = supervisor()
    made.due(0.0)
    if life is not Life.STARTING:
        made.ready(0, 0.0)
    if life is Life.BUSY:
        made.began(made.replicas[0], "batch", 0.0)
    assert made.replicas[0].life is life
    assert made.exited(0, 1.0) == ("batch" if life is Life.BUSY else None)
    assert made.replicas[0].life is Life.DOWN
    assert made.due(1.0).spawn == [0]
