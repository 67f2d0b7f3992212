"""Cross-encoders: how well a text answers a query, read together, as one number."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.core import text as words
from penstock.core.errors import ConfigError, ModelFileError
from penstock.core.signature import TensorSpec
from penstock.core.tensors import Array
from penstock.runtimes.text.classification import activated
from penstock.runtimes.text.head import check_rank
from penstock.runtimes.text.reading import Row


class Reranking:
    """One score per pair of texts."""

    pairs: bool | None = True
    places = False

    def __init__(self, model: words.TextModel):
        if model.activation == "softmax":
            raise ConfigError("activation: softmax makes every single score 1; a reranker takes sigmoid or identity")
        self._activation = model.activation

    def outputs(self, shape: Sequence[int]) -> tuple[TensorSpec, ...]:
        """The score."""
        check_rank(shape, 2, "reranking")
        if shape[1] != 1:
            raise ModelFileError(f"a reranker answers 1 number per pair, this file {shape[1]}; serve it to classify")
        return (TensorSpec(words.SCORE, "FP32", (-1,)),)

    def check(self, rows: Sequence[Row]) -> None:
        """Every pair has a score."""

    def answer(self, values: Array, rows: Sequence[Row]) -> dict[str, Array]:
        """The scores. values: logits [rows, 1]."""
        return {words.SCORE: activated(values[: len(rows), 0], self._activation)}
