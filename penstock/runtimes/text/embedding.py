"""Sentence embeddings: token states pooled into one vector per text, as sentence-transformers does."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from penstock.core import text as words
from penstock.core.signature import TensorSpec
from penstock.core.tensors import Array
from penstock.runtimes.text.head import check_rank
from penstock.runtimes.text.reading import Row


class Embedding:
    """One vector per text. A network that pools by itself is taken at its word."""

    pairs: bool | None = None
    places = False

    def __init__(self, model: words.TextModel):
        self._pooling = model.pooling
        self._normalize = model.normalize

    def outputs(self, shape: Sequence[int]) -> tuple[TensorSpec, ...]:
        """One vector of as many numbers as the network's states have."""
        check_rank(shape, 2 if len(shape) == 2 else 3, "embedding")
        return (TensorSpec(words.EMBEDDING, "FP32", (-1, int(shape[-1]))),)

    def check(self, rows: Sequence[Row]) -> None:
        """Every row has an embedding."""

    def answer(self, values: Array, rows: Sequence[Row]) -> dict[str, Array]:
        """The vectors. values: [rows, length, width], or [rows, width] where the network pools."""
        states = values[: len(rows)]
        lengths = np.fromiter((len(row.ids) for row in rows), np.int64, len(rows))
        vectors = states if states.ndim == 2 else pooled(states, lengths, self._pooling)
        return {words.EMBEDDING: normalized(vectors) if self._normalize else vectors}


def pooled(states: Array, lengths: Array, pooling: words.Pooling) -> Array:
    """One vector per row. states: [rows, length, width]; lengths: [rows], what is beyond is padding."""
    if pooling == "cls":
        return states[:, 0]
    if pooling == "last":
        return np.asarray(states[np.arange(len(states)), lengths - 1])
    inside = np.arange(states.shape[1]) < lengths[:, None]
    if pooling == "max":
        return np.asarray(np.where(inside[:, :, None], states, -np.inf).max(axis=1))
    weights = (inside / lengths[:, None]).astype(states.dtype)
    return np.asarray(np.matmul(weights[:, None, :], states)[:, 0])


def normalized(vectors: Array) -> Array:
    """Vectors of length one. vectors: [rows, width]."""
    lengths = np.sqrt(np.einsum("rw,rw->r", vectors, vectors))
    return np.asarray(vectors / np.maximum(lengths, 1e-12)[:, None])
