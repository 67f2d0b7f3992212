"""Token classification: which stretches of a text are names of people, places, ..."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from penstock.core import text as words
from penstock.core.signature import TensorSpec
from penstock.core.tensors import Array, object_array
from penstock.runtimes.boosters import softmax
from penstock.runtimes.text.head import check_labels, check_rank
from penstock.runtimes.text.reading import Row, Span
from penstock.runtimes.text.tokenizer import Tokenizer

OUTSIDE = "O"


class Tagged(NamedTuple):
    """A token with its label. `span`: where in the text; None when only token ids were sent."""

    id: int
    label: str
    score: float
    span: Span | None


class TokenClassification:
    """The entities of every text, as JSON: entity, text, start and end (characters), score.

    With aggregation "simple", neighbouring tokens of one entity are one (labels B-X begin it, I-X and X go on),
    their score the mean, as in transformers' pipeline; with "none" every token is by itself.
    """

    pairs: bool | None = None
    places = True

    def __init__(self, model: words.TextModel, tokenizer: Tokenizer):
        self._labels = model.labels
        self._together = model.aggregation == "simple"
        self._skipped = len(model.prompt)
        self._tokenizer = tokenizer

    def outputs(self, shape: Sequence[int]) -> tuple[TensorSpec, ...]:
        """The entities."""
        check_rank(shape, 3, "token-classification")
        self._labels = self._labels or tuple(f"LABEL_{number}" for number in range(shape[2]))
        check_labels(shape[2], self._labels)
        return (TensorSpec(words.ENTITIES, "BYTES", (-1,), form="json"),)

    def check(self, rows: Sequence[Row]) -> None:
        """A text without entities has an empty list of them."""

    def answer(self, values: Array, rows: Sequence[Row]) -> dict[str, Array]:
        """The entities. values: logits [rows, length, classes]."""
        found = [self._entities(logits[: len(row.ids)], row) for logits, row in zip(values, rows, strict=False)]
        return {words.ENTITIES: object_array([msgspec.json.encode(each) for each in found], (len(rows),))}

    def _entities(self, logits: Array, row: Row) -> list[dict[str, Any]]:
        tokens = list(self._tagged(softmax(logits), row))
        groups = grouped(tokens) if self._together else [[token] for token in tokens]
        return [self._entity(group, row) for group in groups if kind(group[0].label)[1] != OUTSIDE]

    def _tagged(self, scores: Array, row: Row) -> Iterator[Tagged]:
        """Every token of the text itself. scores: [length, classes]."""
        best, sure = scores.argmax(axis=1).tolist(), scores.max(axis=1).tolist()
        for at, number in enumerate(row.ids):
            span = row.spans[at] if row.spans else None
            inside = number not in self._tokenizer.specials if row.spans is None else span and span[1] > self._skipped
            if inside:
                yield Tagged(number, self._labels[best[at]], sure[at], span)

    def _entity(self, tokens: Sequence[Tagged], row: Row) -> dict[str, Any]:
        label = tokens[0].label
        entity: dict[str, Any] = {"entity": kind(label)[1] if self._together else label}
        entity |= self._place(tokens, row)
        entity["score"] = sum(token.score for token in tokens) / len(tokens)
        return entity

    def _place(self, tokens: Sequence[Tagged], row: Row) -> dict[str, Any]:
        first, last = tokens[0].span, tokens[-1].span
        if row.text is None or first is None or last is None:
            return {"text": self._tokenizer.decode([token.id for token in tokens]), "start": None, "end": None}
        begin = max(first[0], self._skipped)
        whole = row.text[begin : last[1]]
        # Some tokenizers count the space before a word as part of it.
        start = begin + len(whole) - len(whole.lstrip()) - self._skipped
        return {"text": whole.strip(), "start": start, "end": start + len(whole.strip())}


def kind(label: str) -> tuple[str, str]:
    """Whether a label begins ("B") or continues ("I") an entity, and which."""
    return (label[0], label[2:]) if label[:2] in ("B-", "I-") else ("I", label)


def grouped(tokens: Sequence[Tagged]) -> list[list[Tagged]]:
    """Neighbouring tokens of one entity together."""
    groups: list[list[Tagged]] = []
    for token in tokens:
        how, entity = kind(token.label)
        if groups and how == "I" and kind(groups[-1][-1].label)[1] == entity:
            groups[-1].append(token)
        else:
            groups.append([token])
    return groups
