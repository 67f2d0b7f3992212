"""From settings to a batcher: the one place that knows the policies' names."""

from __future__ import annotations

from penstock.scheduling.batching.dynamic import DynamicBatcher
from penstock.scheduling.batching.policy import Batcher, BatchingSettings
from penstock.scheduling.batching.single import SingleBatcher
from penstock.scheduling.batching.static import DEFAULT_CAP_S, StaticBatcher


def create(settings: BatchingSettings) -> Batcher:
    """The batcher that the settings ask for."""
    wait_s = None if settings.max_wait_ms is None else settings.max_wait_ms / 1000
    if settings.policy == "none":
        return SingleBatcher()
    if settings.policy == "static":
        return StaticBatcher(settings.max_size, DEFAULT_CAP_S if wait_s is None else wait_s)
    return DynamicBatcher(settings.max_size, wait_s or 0.0)
