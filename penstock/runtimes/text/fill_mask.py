"""Masked language models: what could stand where the text has a mask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from penstock.core import text as words
from penstock.core.errors import BadRows, ModelFileError
from penstock.core.signature import TensorSpec
from penstock.core.tensors import Array, object_array
from penstock.runtimes.boosters import softmax
from penstock.runtimes.text.head import check_rank
from penstock.runtimes.text.reading import Row
from penstock.runtimes.text.tokenizer import Tokenizer

TOP = 5


class FillMask:
    """For every mask of a text, in order, the best tokens: token, score, and the text with it in place, as JSON."""

    pairs: bool | None = None
    places = False

    def __init__(self, tokenizer: Tokenizer):
        if tokenizer.mask is None:
            raise ModelFileError("the tokenizer has no mask token, so there is nothing that the model could fill in")
        self._tokenizer = tokenizer
        self._mask, self._name = tokenizer.mask

    def outputs(self, shape: Sequence[int]) -> tuple[TensorSpec, ...]:
        """The candidates."""
        check_rank(shape, 3, "fill-mask")
        if shape[2] < self._tokenizer.size:
            raise ModelFileError(
                f"tokenizer and model do not belong together: the tokenizer has {self._tokenizer.size} tokens, "
                f"the model answers {shape[2]}"
            )
        return (TensorSpec(words.CANDIDATES, "BYTES", (-1,), form="json"),)

    def check(self, rows: Sequence[Row]) -> None:
        """Raises `BadRows` for rows without a mask."""
        without = [number for number, row in enumerate(rows) if self._mask not in row.ids]
        if without:
            reason = {True: f"no {self._name} is left after the cut", False: f"the text has no {self._name} to fill in"}
            raise BadRows({number: reason[rows[number].truncated] for number in without})

    def answer(self, values: Array, rows: Sequence[Row]) -> dict[str, Array]:
        """The candidates. values: logits [rows, length, tokens]."""
        found = [self._candidates(logits, row) for logits, row in zip(values, rows, strict=False)]
        return {words.CANDIDATES: object_array([msgspec.json.encode(each) for each in found], (len(rows),))}

    def _candidates(self, logits: Array, row: Row) -> list[list[dict[str, Any]]]:
        places = [at for at, number in enumerate(row.ids) if number == self._mask]
        # One at a time: vocabularies are long, and a text may be nothing but masks.
        return [self._best(softmax(logits[at : at + 1, : self._tokenizer.size])[0], row, at) for at in places]

    def _best(self, scores: Array, row: Row, at: int) -> list[dict[str, Any]]:
        some = np.sort(np.argpartition(-scores, min(TOP, len(scores)) - 1)[:TOP])
        best = some[np.argsort(-scores[some], kind="stable")].tolist()
        return [
            {"token": self._tokenizer.decode([number]), "score": float(scores[number]),
             "sequence": self._filled(row, at, number)}
            for number in best
        ]  # fmt: skip

    def _filled(self, row: Row, at: int, number: int) -> str:
        """The text with a token in place of one mask; other masks stay."""
        ids = [*row.ids[:at], number, *row.ids[at + 1 :]]
        hidden = self._tokenizer.specials - {self._mask, number}
        return self._tokenizer.decode([each for each in ids if each not in hidden])
