"""From settings to a batcher: the one place that knows the policies' names."""

from __future__ import annotations

from penstock.scheduling.batching.dynamic import DynamicBatcher
from penstock.scheduling.batching.policy import Batcher, BatchingSettings
from penstock.scheduling.batching.single import SingleBatcher
from penstock.scheduling.batching.static import DEFAULT_CAP_S, StaticBatcher
from penstock.scheduling.batching.tokens import TokenBatcher


def create(settings: BatchingSettings) -> Batcher:
    """The batcher that the settings ask for."""
    wait_s = None if settings.max_wait_ms is None else settings.max_wait_ms / 1000
    if settings.policy == "none":
        return SingleBatcher()
    if settings.policy == "static":
        return StaticBatcher(settings.max_rows, DEFAULT_CAP_S if wait_s is None else wait_s)
    return DynamicBatcher(settings.max_rows, wait_s or 0.0)


def create_for_tokens(settings: BatchingSettings, max_tokens: int) -> Batcher:
    """The same for a model whose rows are counted in tokens."""
    if settings.policy == "none":
        return SingleBatcher()
    wait_s = DEFAULT_CAP_S if settings.policy == "static" else 0.0
    if settings.max_wait_ms is not None:
        wait_s = settings.max_wait_ms / 1000
    return TokenBatcher(max_tokens, settings.max_size or max_tokens, wait_s)
