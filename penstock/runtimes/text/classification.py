"""Sequence classification: a label, how sure it is, and the scores of all classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from penstock.core import text as words
from penstock.core.signature import TensorSpec
from penstock.core.tensors import Array, object_array
from penstock.runtimes.boosters import softmax
from penstock.runtimes.text.head import check_labels, check_rank
from penstock.runtimes.text.reading import Row


class Classification:
    """One label per text, or pair of texts."""

    pairs: bool | None = False
    places = False

    def __init__(self, model: words.TextModel):
        self._activation = model.activation
        self._labels = model.labels

    def outputs(self, shape: Sequence[int]) -> tuple[TensorSpec, ...]:
        """The best label, its score, and all scores by label."""
        check_rank(shape, 2, "classification")
        self._labels = self._labels or tuple(f"LABEL_{number}" for number in range(shape[1]))
        check_labels(shape[1], self._labels)
        return (
            TensorSpec(words.LABEL, "BYTES", (-1,)),
            TensorSpec(words.CONFIDENCE, "FP32", (-1,)),
            TensorSpec(words.SCORES, "FP32", (-1, len(self._labels)), labels=self._labels, form="object"),
        )

    def check(self, rows: Sequence[Row]) -> None:
        """Every row has a label."""

    def answer(self, values: Array, rows: Sequence[Row]) -> dict[str, Array]:
        """Labels and scores. values: logits [rows, classes]."""
        scores = activated(values[: len(rows)], self._activation)
        best = scores.argmax(axis=1)
        labels = object_array([self._labels[number].encode() for number in best.tolist()], (len(rows),))
        return {words.LABEL: labels, words.CONFIDENCE: scores.max(axis=1), words.SCORES: scores}


def activated(logits: Array, activation: str) -> Array:
    """Scores from logits, along the last axis."""
    if activation == "softmax":
        return softmax(logits)
    return sigmoid(logits) if activation == "sigmoid" else logits.copy()


def sigmoid(logits: Array) -> Array:
    """1 / (1 + exp(-x)), without overflow."""
    small = np.exp(-np.abs(logits))
    return np.asarray(np.where(logits >= 0, 1 / (1 + small), small / (1 + small)))
