"""Each batcher by itself, with a still clock: what it takes, and until when it waits."""

from __future__ import annotations

import math

import pytest

from penstock.core.errors import ConfigError
from penstock.scheduling.batching.choice import create
from penstock.scheduling.batching.dynamic import DynamicBatcher
from penstock.scheduling.batching.policy import BatchingSettings
from penstock.scheduling.batching.single import SingleBatcher
from penstock.scheduling.batching.static import DEFAULT_CAP_S, StaticBatcher
from penstock.scheduling.queue import WorkQueue
from penstock.scheduling.work import Work
from tests.scheduling.works import work


def filled(*works: Work) -> WorkQueue:
    queue = WorkQueue(100)
    for each in works:
        queue.push(each)
    return queue


@pytest.mark.parametrize("batcher", [DynamicBatcher(4), DynamicBatcher(4, 0.1), StaticBatcher(4), SingleBatcher()])
def test_with_nothing_to_do_it_waits_for_an_arrival(batcher: DynamicBatcher | SingleBatcher) -> None:
    assert batcher.next(WorkQueue(10), 5.0) == math.inf


def test_dynamic_takes_a_lone_request_at_once() -> None:
    lone = work(at=1.0)
    assert DynamicBatcher(64).next(filled(lone), 1.0) == [lone]


def test_dynamic_takes_what_waits_up_to_its_size() -> None:
    works = [work() for _ in range(6)]
    queue = filled(*works)
    batcher = DynamicBatcher(4)
    assert batcher.next(queue, 0.0) == works[:4]
    assert batcher.next(queue, 0.0) == works[4:]


def test_dynamic_with_a_wait_asks_to_come_back_then_takes() -> None:
    lone = work(at=1.0)
    queue = filled(lone)
    batcher = DynamicBatcher(4, 0.05)
    assert batcher.next(queue, 1.0) == 1.05
    assert batcher.next(queue, 1.049) == 1.05
    assert len(queue) == 1
    assert batcher.next(queue, 1.05) == [lone]


def test_the_wait_counts_from_the_oldest_whatever_its_priority() -> None:
    queue = filled(work(at=1.3, level=0), work(at=1.0, level=2))
    assert DynamicBatcher(4, 0.5).next(queue, 1.4) == 1.5


def test_a_full_batch_does_not_wait() -> None:
    works = [work(1, 2), work(3, 4)]
    assert DynamicBatcher(4, 10.0).next(filled(*works), 0.0) == works


def test_cancelled_rows_do_not_fill_a_batch() -> None:
    works = [work(1, 2), work(3, 4)]
    queue = filled(*works)
    queue.removed(works[0])
    works[0].end({})
    assert StaticBatcher(4).next(queue, 0.0) == DEFAULT_CAP_S


def test_in_a_hurry_nobody_waits_for_company() -> None:
    lone = work()
    assert StaticBatcher(4).next(filled(lone), 0.0, hurry=True) == [lone]


def test_static_waits_for_n_or_the_cap() -> None:
    queue = filled(first := work(at=2.0))
    batcher = StaticBatcher(3, 0.5)
    assert batcher.next(queue, 2.0) == 2.5
    queue.push(second := work(at=2.1))
    assert batcher.next(queue, 2.1) == 2.5
    queue.push(third := work(at=2.2))
    assert batcher.next(queue, 2.2) == [first, second, third]
    queue.push(late := work(at=2.3))
    assert batcher.next(queue, 2.8) == [late]


def test_keys_never_mix_and_the_most_urgent_line_goes_first() -> None:
    a, b, a2 = work(at=0.2, key="a"), work(at=0.1, key="b"), work(at=0.3, key="a")
    queue = filled(a, b, a2)
    batcher = DynamicBatcher(8)
    assert batcher.next(queue, 1.0) == [b]
    assert batcher.next(queue, 1.0) == [a, a2]


def test_a_full_line_goes_while_another_still_waits() -> None:
    young = [work(1, 2, at=0.9, key="full")]
    old = work(at=0.5, key="thin")
    queue = filled(old, *young)
    batcher = DynamicBatcher(2, 1.0)
    assert batcher.next(queue, 1.0) == young
    assert batcher.next(queue, 1.0) == 1.5


def test_without_batching_the_most_urgent_runs_alone() -> None:
    low, high, other = work(at=0.0, level=2), work(at=0.1, level=0), work(at=0.05, level=0, key="other")
    queue = filled(low, high, other)
    batcher = SingleBatcher()
    assert [batcher.next(queue, 1.0) for _ in range(3)] == [[other], [high], [low]]
    assert len(queue) == 0


def test_settings_choose_the_policy() -> None:
    single = create(BatchingSettings(policy="none"))
    static = create(BatchingSettings(policy="static", max_size=8))
    dynamic = create(BatchingSettings(max_size=8))
    slow = create(BatchingSettings(max_size=8, max_wait_ms=5))
    assert isinstance(single, SingleBatcher)
    assert isinstance(static, StaticBatcher)
    assert (static.max_size, static.max_wait_s) == (8, DEFAULT_CAP_S)
    assert isinstance(dynamic, DynamicBatcher)
    assert dynamic.max_wait_s == 0.0
    assert isinstance(slow, DynamicBatcher)
    assert slow.max_wait_s == 0.005


def test_a_static_cap_of_zero_is_kept() -> None:
    static = create(BatchingSettings(policy="static", max_wait_ms=0))
    assert isinstance(static, StaticBatcher)
    assert static.max_wait_s == 0.0


def test_buckets_pad_up() -> None:
    settings = BatchingSettings(max_size=16, buckets=(1, 4, 16))
    assert [settings.padded(rows) for rows in (1, 2, 4, 5, 16, 17)] == [1, 4, 4, 16, 16, 17]
    assert BatchingSettings().padded(3) == 3


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (BatchingSettings(max_size=0), "max_size"),
        (BatchingSettings(max_wait_ms=-1), "max_wait_ms"),
        (BatchingSettings(max_wait_ms=float("nan")), "max_wait_ms"),
        (BatchingSettings(buckets=(4, 2)), "buckets"),
        (BatchingSettings(buckets=(0, 64)), "buckets"),
        (BatchingSettings(buckets=(64, 64)), "buckets"),
        (BatchingSettings(max_size=64, buckets=(1, 32)), "max_size"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings: BatchingSettings, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        settings.check()
