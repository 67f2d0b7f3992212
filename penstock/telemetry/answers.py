"""What the response caches of routes did, and how the metrics page shows it. Hits and misses are counted per answer,
with the routes' own metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric


class Counts(Protocol):
    """Requests since start."""

    shared: int
    similar: int
    stale: int


class Memory(Protocol):
    """The answers in memory."""

    bytes: int
    evictions: int

    def __len__(self) -> int: ...


class Cache(Protocol):
    """One route's response cache."""

    name: str

    @property
    def counts(self) -> Counts: ...

    @property
    def memory(self) -> Memory: ...

    @property
    def away(self) -> bool: ...


Value = Callable[[Any], float]
COUNTERS: dict[str, tuple[str, Value]] = {
    "shared": ("Requests answered by a computation under way for the same question.", lambda c: c.counts.shared),
    "similar": ("Requests answered as a similar question was.", lambda c: c.counts.similar),
    "stale": ("Requests answered by an older answer, in place of a model.", lambda c: c.counts.stale),
    "evictions": ("Answers forgotten to make room.", lambda c: c.memory.evictions),
}
GAUGES: dict[str, tuple[str, Value]] = {
    "bytes": ("Memory that the kept answers take.", lambda c: c.memory.bytes),
    "items": ("Answers that are kept in memory.", lambda c: len(c.memory)),
    "away": ("1 while Redis, which servers share answers through, does not answer.", lambda c: c.away),
}


def families(caches: Iterable[Cache]) -> Iterator[Metric]:
    """The metrics of every route that keeps answers; nothing when none does."""
    caches = list(caches)
    if not caches:
        return
    kinds: list[tuple[type[CounterMetricFamily] | type[GaugeMetricFamily], dict[str, tuple[str, Value]]]] = [
        (CounterMetricFamily, COUNTERS),
        (GaugeMetricFamily, GAUGES),
    ]
    for kind, named in kinds:
        for name, (text, value) in named.items():
            family = kind(f"penstock_answers_{name}", text, labels=["route"])
            for cache in caches:
                family.add_metric([cache.name], float(value(cache)))
            yield family
