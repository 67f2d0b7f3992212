"""Static batching: wait for a full batch, up to a cap."""

from __future__ import annotations

from penstock.scheduling.batching.dynamic import DynamicBatcher

DEFAULT_CAP_S = 1.0


class StaticBatcher(DynamicBatcher):
    """Batches of `size` rows; a smaller one starts only when its oldest work has waited `cap_s`."""

    def __init__(self, size: int, cap_s: float = DEFAULT_CAP_S):
        super().__init__(size, cap_s)
