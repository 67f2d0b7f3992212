"""Numbers that are appended now and folded later must come out as if they had been counted at once."""

from __future__ import annotations

import random

from penstock.telemetry.recorder import FOLD_AT, LATENCY_BUCKETS, ROW_BUCKETS, Histogram, Recorder


def test_folding_changes_nothing() -> None:
    rng, recorder = random.Random(1), Recorder()
    samples = [rng.expovariate(20) for _ in range(FOLD_AT * 2 + 17)]
    for seconds in samples:
        recorder.request(seconds, seconds / 2, seconds / 4, seconds / 8)
    for phase, part in (("total", 1), ("queue", 2), ("batch", 4), ("compute", 8)):
        histogram = recorder.phases()[phase]
        assert histogram.count == len(samples)
        assert abs(histogram.sum - sum(samples) / part) < 1e-6
        for (bound, count), limit in zip(histogram.cumulative(), LATENCY_BUCKETS, strict=False):
            assert float(bound) == limit
            assert count == sum(seconds / part <= limit for seconds in samples)


def test_a_value_on_a_bound_belongs_under_it() -> None:
    histogram = Histogram((1.0, 2.0))
    import numpy as np

    histogram.add(np.array([1.0, 1.0000001, 2.0, 3.0]))
    assert histogram.cumulative() == [("1", 1), ("2", 3), ("+Inf", 4)]


def test_batches_by_size() -> None:
    recorder = Recorder()
    for rows in (1, 8, 8, 64):
        recorder.batch(rows, 0.5)
    stats = recorder.stats()
    assert (stats.batches, stats.rows) == (4, 81)
    assert stats.batch_sizes[8] == (2, 1.0)
    assert dict(recorder.batch_rows().cumulative())[f"{ROW_BUCKETS[0]:g}"] == 1


def test_reading_twice_counts_once() -> None:
    recorder = Recorder()
    recorder.request(0.01, 0, 0, 0.01)
    assert recorder.phases()["total"].count == recorder.phases()["total"].count == 1
    recorder.error("overloaded")
    assert recorder.stats().failures == 1
