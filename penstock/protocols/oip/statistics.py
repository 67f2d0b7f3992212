"""A model's totals in the shape of Triton's statistics extension (durations in nanoseconds)."""

from __future__ import annotations

from typing import Any

from penstock.core.model import ModelView


def statistics(model: ModelView) -> dict[str, Any]:
    """One entry of `model_stats`."""
    stats = model.stats
    total_s = stats.queue_s + stats.batch_s + stats.compute_s
    return {
        "name": model.spec.name,
        "version": model.spec.version,
        "last_inference": int(stats.last_request_at * 1000),
        "inference_count": stats.rows,
        "execution_count": stats.batches,
        "inference_stats": {
            "success": _duration(stats.requests, total_s),
            "fail": _duration(stats.failures, 0.0),
            "queue": _duration(stats.requests, stats.queue_s + stats.batch_s),
            "compute_input": _duration(stats.requests, 0.0),
            "compute_infer": _duration(stats.requests, stats.compute_s),
            "compute_output": _duration(stats.requests, 0.0),
        },
        "batch_stats": [
            {"batch_size": size, "compute_infer": _duration(count, seconds)}
            for size, (count, seconds) in sorted(stats.batch_sizes.items())
        ],
    }


def _duration(count: int, seconds: float) -> dict[str, int]:
    return {"count": count, "ns": int(seconds * 1e9)}
