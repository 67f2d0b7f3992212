"""The dispatcher's decisions, one small story each; the simulation tells the large ones."""

from __future__ import annotations

import random

import pytest

from penstock.core.errors import (
    BadInput,
    Cancelled,
    CrashLooping,
    DeadlineExceeded,
    Draining,
    ModelFailed,
    Overloaded,
    RequestRefused,
    Unavailable,
    WorkerLost,
)
from penstock.core.tensors import Tensor, Tensors
from penstock.scheduling.batching.dynamic import DynamicBatcher
from penstock.scheduling.deadlines import TICK_S
from penstock.scheduling.dispatcher import Batch, Dispatcher
from penstock.scheduling.queue import WorkQueue
from penstock.scheduling.supervision import SupervisionSettings, Supervisor
from penstock.scheduling.work import Work
from tests.scheduling.works import Ends, values_of, work

HANG_S = 5.0


class Story:
    """A dispatcher whose workers do as they are told."""

    def __init__(self, *, replicas: int = 1, size: int = 8, capacity: int = 100, replay: bool = True, up: bool = True):
        settings = SupervisionSettings(load_timeout_s=10, backoff_s=1, max_backoff_s=4, crash_loop_after=3)
        supervisor = Supervisor(replicas, settings, HANG_S, random.Random(0))
        self.it = Dispatcher(WorkQueue(capacity), DynamicBatcher(size), supervisor, replay=replay)
        self.ends = Ends()
        self.it.decide(0.0)
        if up:
            for index in range(replicas):
                self.it.ready(index, 0.0)

    def submit(self, *values: int, now: float = 0.0, **settings: float) -> Work:
        made = work(*values, ends=self.ends, **settings)  # type: ignore[arg-type]
        self.it.submit(made, now)
        return made

    def started(self, now: float = 0.0) -> list[tuple[int, list[list[int]]]]:
        decisions = self.it.decide(now)
        return [(replica, [values_of(each.tensors) for each in batch.works]) for replica, batch in decisions.start]

    def answer(self, replica: int = 0, now: float = 0.0) -> None:
        batch = self.it.supervisor.replicas[replica].batch
        assert isinstance(batch, Batch)
        rows = [value for each in batch.works for value in values_of(each.tensors)]
        self.it.completed(replica, lambda start, stop: echo(rows[start:stop]), 0.25, now)

    def end_of(self, ended: Work) -> object:
        (outcome,) = self.ends.of(ended)
        return outcome


def echo(rows: list[int]) -> Tensors:
    return {"x": Tensor.of(rows)}


def test_requests_share_a_batch_and_everyone_gets_the_own_rows() -> None:
    story = Story()
    works = [story.submit(1), story.submit(2, 3), story.submit(4)]
    assert story.started() == [(0, [[1], [2, 3], [4]])]
    story.answer(now=1.0)
    assert [values_of(story.end_of(each)) for each in works] == [[1], [2, 3], [4]]  # type: ignore[arg-type]
    assert story.it.idle


def test_the_moments_of_a_request() -> None:
    story = Story(up=False)
    made = story.submit(1, 2, now=1.0)
    story.it.ready(0, 3.0)
    story.it.decide(4.0)
    story.answer(now=6.0)
    assert (made.arrived, made.free, made.started, made.finished) == (1.0, 3.0, 4.0, 6.0)
    assert (made.compute_s, made.batch_rows) == (0.25, 2)


def test_the_time_of_a_batch_is_shared_by_rows() -> None:
    story = Story()
    works = [story.submit(1, 2, 3), story.submit(4)]
    story.started()
    story.answer()
    assert [each.busy_s for each in works] == [0.25 * 3 / 4, 0.25 / 4]


def test_idle_workers_share_the_work() -> None:
    story = Story(replicas=2, size=1)
    for value in (1, 2, 3):
        story.submit(value)
    assert sorted(replica for replica, _ in story.started()) == [0, 1]
    assert story.started() == []
    story.answer(1)
    assert story.started() == [(1, [[3]])]


def test_what_is_cancelled_while_it_waits_never_runs() -> None:
    story = Story(size=1)
    story.submit(1)
    gone = story.submit(2)
    assert story.started() == [(0, [[1]])]
    story.it.cancel(gone, Cancelled("gone"))
    assert isinstance(story.end_of(gone), Cancelled)
    story.answer()
    assert story.started() == []
    story.it.cancel(gone, Cancelled("again"))
    assert len(story.ends.of(gone)) == 1


def test_what_is_cancelled_while_it_runs_ends_at_once_and_the_others_get_their_rows() -> None:
    story = Story()
    gone, stays = story.submit(1, 2), story.submit(3)
    story.started()
    story.it.cancel(gone, Cancelled("gone"))
    assert isinstance(story.end_of(gone), Cancelled)
    story.answer()
    assert values_of(story.end_of(stays)) == [3]  # type: ignore[arg-type]
    assert len(story.ends) == 2


def test_a_deadline_ends_what_waits_and_what_runs() -> None:
    story = Story(size=1)
    runs, waits = story.submit(1, deadline=1.0), story.submit(2, deadline=2.0)
    wake_at = story.it.decide(0.0).wake_at
    assert 1.0 <= wake_at <= 1.0 + TICK_S
    story.it.decide(wake_at)
    assert isinstance(story.end_of(runs), DeadlineExceeded)
    story.it.decide(2.0 + 1.01 * TICK_S)
    assert isinstance(story.end_of(waits), DeadlineExceeded)
    story.answer(now=3.0)
    assert story.started(3.0) == []
    assert story.it.idle


def test_what_arrives_too_late_is_refused_without_a_trace() -> None:
    story = Story()
    with pytest.raises(DeadlineExceeded):
        story.submit(1, now=1.0, deadline=1.0)
    assert story.it.idle
    assert not story.ends


def test_what_expired_since_the_last_tick_is_not_started() -> None:
    story = Story(up=False)
    late, fine = story.submit(1, deadline=1.0001), story.submit(2)
    story.it.ready(0, 1.0005)
    assert story.started(1.0005) == [(0, [[2]])]
    assert isinstance(story.end_of(late), DeadlineExceeded)
    assert not story.ends.of(fine)


def test_who_is_told_of_an_end_may_cancel_another_in_the_same_breath() -> None:
    story = Story(up=False)
    twin = work(2, ends=story.ends)
    late = work(1, deadline=1.0001)
    late.on_end = lambda *_: story.it.cancel(twin, Cancelled("the other one has ended"))
    story.it.submit(late, 0.0)
    story.it.submit(twin, 0.0)
    story.it.ready(0, 1.0005)
    assert story.started(1.0005) == []
    assert isinstance(story.end_of(twin), Cancelled)
    assert len(story.it.queue) == 0
    assert story.it.idle


def test_a_full_queue_refuses() -> None:
    story = Story(capacity=2, up=False)
    story.submit(1)
    story.submit(2)
    with pytest.raises(Overloaded):
        story.submit(3)
    assert len(story.it.queue) == 2


def test_a_bad_request_fails_alone() -> None:
    story = Story()
    works = [story.submit(value) for value in range(5)]
    error, runs = ModelFailed("no"), 0
    while started := story.started():
        runs += 1
        ((_, batch),) = started
        if [3] in batch:
            story.it.failed(0, error, 0.0)
        else:
            story.answer()
    assert story.end_of(works[3]) is error
    assert all(not isinstance(story.end_of(each), Exception) for each in works if each is not works[3])
    assert runs <= 7


def test_without_replay_a_batch_fails_together() -> None:
    story = Story(replay=False)
    works = [story.submit(1), story.submit(2)]
    story.started()
    story.it.failed(0, BadInput("unknown city 'somebody's secret'"), 0.0)
    for each in works:
        error = story.end_of(each)
        assert isinstance(error, ModelFailed)
        assert "secret" not in error.message


def die(story: Story, now: float, replica: int = 0) -> None:
    story.it.exited(replica, now)
    story.it.decide(now + 10)
    story.it.ready(replica, now + 10)


def test_what_a_dead_worker_ran_runs_once_more_alone_and_before_the_rest() -> None:
    story = Story()
    story.submit(1)
    story.submit(2)
    story.started()
    story.submit(3)
    die(story, 0.0)
    for values in ([1], [2], [3]):
        assert story.started(20.0) == [(0, [values])]
        story.answer(now=20.0)
    assert story.it.idle


def test_who_killed_two_workers_is_refused_then_and_afterwards() -> None:
    story = Story()
    poison, innocent = story.submit(666), story.submit(1)
    story.started()
    die(story, 0.0)
    story.started(20.0)
    die(story, 20.0)
    assert isinstance(story.end_of(poison), RequestRefused)
    with pytest.raises(RequestRefused):
        story.submit(666, now=40.0)
    assert story.started(40.0) == [(0, [[1]])]
    story.answer(now=40.0)
    assert not isinstance(story.end_of(innocent), Exception)


def test_who_hangs_two_workers_is_refused_though_it_timed_out_both_times() -> None:
    story = Story()
    for now in (0.0, 100.0):
        hangs = story.submit(666, now=now, deadline=now + HANG_S)
        story.started(now)
        assert story.it.decide(now + HANG_S + TICK_S).kill == [0]
        assert isinstance(story.end_of(hangs), DeadlineExceeded)
        die(story, now + HANG_S + TICK_S)
    with pytest.raises(RequestRefused):
        story.submit(666, now=200.0)


def test_without_replay_a_death_ends_what_ran() -> None:
    story = Story(replay=False)
    lost = story.submit(1)
    story.started()
    story.it.exited(0, 0.0)
    assert isinstance(story.end_of(lost), WorkerLost)


def test_a_cancelled_replay_leaves_nothing_behind() -> None:
    story = Story()
    gone = story.submit(1)
    story.started()
    story.it.exited(0, 0.0)
    assert not story.it.idle
    story.it.cancel(gone, Cancelled("gone"))
    assert story.it.idle


def test_a_crash_loop_refuses_until_a_worker_is_up() -> None:
    story = Story(up=False)
    for now in (0.0, 10.0, 20.0):
        story.it.exited(0, now)
        story.it.decide(now + 9)
    with pytest.raises(CrashLooping) as refusal:
        story.submit(1, now=29.0)
    assert refusal.value.retry_after_s is not None
    assert refusal.value.retry_after_s >= 1.0
    story.it.ready(0, 30.0)
    story.submit(1, now=30.0)
    assert story.started(30.0) == [(0, [[1]])]


def test_draining_refuses_and_finishes_what_was_accepted() -> None:
    story = Story(size=1)
    works = [story.submit(1), story.submit(2)]
    story.it.draining = True
    with pytest.raises(Draining):
        story.submit(3)
    for each in works:
        assert len(story.started()) == 1
        assert not story.it.idle
        story.answer()
        assert not isinstance(story.end_of(each), Exception)
    assert story.it.idle


def test_a_batch_of_zero_rows_is_not_idle() -> None:
    story = Story()
    empty = Work({"x": Tensor.of([])}, 0, story.ends)
    story.it.submit(empty, 0.0)
    story.it.decide(0.0)
    assert not story.it.idle
    story.it.completed(0, lambda start, stop: echo([]), 0.0, 0.0)
    assert story.it.idle


def test_everything_can_be_ended_at_once() -> None:
    story = Story(size=1)
    again = story.submit(1)
    story.started()
    story.it.exited(0, 0.0)
    story.submit(2)
    story.it.decide(0.0)
    story.it.ready(0, 0.0)
    story.started()
    story.submit(3, deadline=9.0)
    twin = story.submit(4)
    again.on_end = lambda each, outcome: (story.ends(each, outcome), story.it.cancel(twin, Cancelled("")))[0]
    story.it.fail_all(error := Unavailable("closing"))
    assert len(story.ends) == 4
    assert sum(outcome is error for _, outcome in story.ends) >= 3
    assert len(story.it.queue) == 0
    story.it.exited(0, 1.0)
    assert story.it.idle
    assert story.it.decide(1.0).start == []


def test_a_result_of_a_worker_that_runs_nothing_is_ignored() -> None:
    story = Story()
    story.it.completed(0, lambda start, stop: echo([]), 0.0, 0.0)
    story.it.failed(0, ModelFailed("no"), 0.0)
    assert not story.ends
