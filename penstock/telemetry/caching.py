"""What a cache of rows did, per model version, and how the metrics page shows it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

LABELS = ("model", "version")


@dataclass(slots=True)
class CacheCounts:
    """One model version's rows since start; every row of a request is a hit, a miss or shared."""

    hits: int = 0
    misses: int = 0
    shared: int = 0
    evictions: int = 0
    bytes: int = 0
    items: int = 0


COUNTERS = {
    "hits": "Rows that were known.",
    "misses": "Rows that had to be computed.",
    "shared": "Rows that were being computed already, for another request or an equal row of the same one.",
    "evictions": "Rows forgotten to make room.",
}
GAUGES = {"bytes": "Memory that the known rows take.", "items": "Rows that are known."}

Labelled = tuple[tuple[str, str], CacheCounts]
"""Model and version, and their counts."""


def families(caches: Iterable[Labelled]) -> Iterator[Metric]:
    """The metrics of every version that has a cache; nothing when none has."""
    caches = list(caches)
    if not caches:
        return
    kinds: list[tuple[type[CounterMetricFamily] | type[GaugeMetricFamily], dict[str, str]]] = [
        (CounterMetricFamily, COUNTERS),
        (GaugeMetricFamily, GAUGES),
    ]
    for kind, texts in kinds:
        for key, text in texts.items():
            family = kind(f"penstock_cache_{key}", text, labels=LABELS)
            for labels, counts in caches:
                family.add_metric(list(labels), getattr(counts, key))
            yield family
