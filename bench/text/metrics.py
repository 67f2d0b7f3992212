"""What Penstock tells about its own work: batches from the statistics extension, cache hits from /metrics."""

from __future__ import annotations

import json

from prometheus_client.parser import text_string_to_metric_families

from bench.field import Wrong
from bench.http import call

_MODEL = "minilm"
_CACHE = ("hits", "misses", "shared")


def batch_sizes(port: int) -> dict[int, int]:
    """How many batches of how many rows the model has run since it started."""
    stats = json.loads(_get(port, f"/v2/models/{_MODEL}/stats"))["model_stats"][0]
    return {entry["batch_size"]: entry["compute_infer"]["count"] for entry in stats["batch_stats"]}


def hit_rate(port: int) -> float | None:
    """The share of rows that the cache answered, those that waited for a row under way included; None without one."""
    page = call(port, "GET", "/metrics")
    if page.status != 200:
        return None
    counts = dict.fromkeys(_CACHE, 0.0)
    for family in text_string_to_metric_families(page.body.decode()):
        word = family.name.removeprefix("penstock_cache_")
        if word in counts:
            counts[word] += sum(sample.value for sample in family.samples if sample.name.endswith("_total"))
    total = sum(counts.values())
    return (counts["hits"] + counts["shared"]) / total if total else None


def _get(port: int, path: str) -> bytes:
    answer = call(port, "GET", path)
    if answer.status != 200:
        raise Wrong(f"{path}: status {answer.status}")
    return answer.body
