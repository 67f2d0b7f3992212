"""What happened, per model version: appended on the hot path, folded into histograms later.

Recording one request is one list append. Folding (numpy, every `FOLD_AT` requests and at every
read) turns the samples into Prometheus-style cumulative counts.
"""

from __future__ import annotations

import time
from collections import Counter

import numpy as np

from penstock.core.model import ModelStats
from penstock.core.tensors import Array

FOLD_AT = 4096
LATENCY_BUCKETS = (
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
)  # fmt: skip
ROW_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
PHASES = ("total", "queue", "batch", "compute")


class Histogram:
    """Counts per bucket (the last is +Inf), the sum and the number of values."""

    def __init__(self, bounds: tuple[float, ...]):
        self.bounds = np.array(bounds)
        self.counts = np.zeros(len(bounds) + 1, np.int64)
        self.sum = 0.0

    def add(self, values: Array) -> None:
        """Adds a column of values."""
        places = np.searchsorted(self.bounds, values, side="left")
        self.counts += np.bincount(places, minlength=len(self.counts))
        self.sum += float(values.sum())

    @property
    def count(self) -> int:
        """Number of values."""
        return int(self.counts.sum())

    def cumulative(self) -> list[tuple[str, float]]:
        """Prometheus buckets: (upper bound, number of values at or under it)."""
        names = [f"{bound:g}" for bound in self.bounds.tolist()] + ["+Inf"]
        return list(zip(names, np.cumsum(self.counts).tolist(), strict=True))


class Recorder:
    """One model version's numbers since start."""

    def __init__(self) -> None:
        self._samples: list[tuple[float, float, float, float]] = []
        self._batches: list[tuple[int, float]] = []
        self._phases = {phase: Histogram(LATENCY_BUCKETS) for phase in PHASES}
        self._batch_rows = Histogram(ROW_BUCKETS)
        self.errors: Counter[str] = Counter()
        self.rows = 0
        self.tokens = 0
        self.last_request_at = 0.0
        self.by_size: dict[int, tuple[int, float]] = {}

    def request(self, total_s: float, queue_s: float, batch_s: float, compute_s: float) -> None:
        """One answered request, its durations in seconds."""
        self._samples.append((total_s, queue_s, batch_s, compute_s))
        if len(self._samples) >= FOLD_AT:
            self._fold()

    def batch(self, rows: int, compute_s: float) -> None:
        """One finished batch."""
        self.last_request_at = time.time()
        self._batches.append((rows, compute_s))
        if len(self._batches) >= FOLD_AT:
            self._fold()

    def error(self, code: str) -> None:
        """One request that ended with an error of that code."""
        self.errors[code] += 1

    def phases(self) -> dict[str, Histogram]:
        """Seconds per request: total, queue, batch, compute."""
        self._fold()
        return self._phases

    def batch_rows(self) -> Histogram:
        """Rows per batch."""
        self._fold()
        return self._batch_rows

    def stats(self) -> ModelStats:
        """Totals since start."""
        phases = self.phases()
        return ModelStats(
            requests=phases["total"].count,
            failures=sum(self.errors.values()),
            rows=self.rows,
            batches=self._batch_rows.count,
            queue_s=phases["queue"].sum,
            batch_s=phases["batch"].sum,
            compute_s=phases["compute"].sum,
            last_request_at=self.last_request_at,
            batch_sizes=dict(self.by_size),
        )

    def _fold(self) -> None:
        samples, self._samples = self._samples, []
        if samples:
            columns = np.array(samples).T
            for phase, column in zip(PHASES, columns, strict=True):
                self._phases[phase].add(column)
        batches, self._batches = self._batches, []
        if batches:
            self._batch_rows.add(np.array([rows for rows, _ in batches]))
            for rows, seconds in batches:
                count, total = self.by_size.get(rows, (0, 0.0))
                self.by_size[rows] = (count + 1, total + seconds)
                self.rows += rows
