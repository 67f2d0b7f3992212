"""What every engine offers: one padded batch of token ids in, the network's numbers out."""

from __future__ import annotations

from typing import Protocol

from penstock.core.tensors import Array


class Engine(Protocol):
    """Runs one network. `output`: the name of what it answers, for messages."""

    output: str

    def run(self, ids: Array, mask: Array, types: Array | None) -> Array:
        """One batch. ids, mask, types: [rows, length] int64; mask is 1 at tokens and 0 at padding; types: None where
        all are 0. Returns logits or token states, FP32, which the next call may overwrite."""
