"""From a request to work and back: one piece, or several when it has more rows than a batch may."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import numpy as np

from penstock.core.errors import ModelFailed, PenstockError
from penstock.core.generation import Generated
from penstock.core.reply import Outcome
from penstock.core.signature import Signature
from penstock.core.tensors import Tensor, Tensors
from penstock.scheduling.work import Work


class KeyMaker:
    """What must be equal for requests to share a batch: inputs, and every axis but the first.

    Prepared per signature, because most have one key only.
    """

    def __init__(self, signature: Signature):
        self._count = len(signature.inputs)
        self._fixed = all(-1 not in spec.shape[1:] for spec in signature.inputs)

    def key(self, tensors: Tensors) -> Hashable:
        """The key of a request whose tensors fit the signature."""
        if self._fixed and len(tensors) == self._count:
            return None
        return tuple(sorted((name, tensor.array.shape[1:]) for name, tensor in tensors.items()))


class Parts:
    """The pieces of one large request; their outputs are put together in order.

    `on_end` is told of the whole's end, once; when a piece has failed, `abandon` gets the others.
    """

    def __init__(self, on_end: Callable[[Work, Outcome], None], abandon: Callable[[Work], None]):
        self.works: list[Work] = []
        self.owner: Any = None
        self.on_end = on_end
        self._abandon = abandon
        self._outcomes: dict[int, Outcome] = {}
        self._ended = False

    def part_ended(self, work: Work, outcome: Outcome) -> None:
        """Keeps a part's outcome; ends the whole with the last, or with the first error."""
        if self._ended:
            return
        if isinstance(outcome, PenstockError):
            self._finish(work, outcome)
            return
        self._outcomes[self.works.index(work)] = outcome
        if len(self._outcomes) == len(self.works):
            self._finish(work, self._joined_or_error())

    def _finish(self, work: Work, outcome: Outcome) -> None:
        self._ended = True
        first = self.works[0]
        work.owner = self.owner
        work.arrived, work.free, work.started = first.arrived, first.free, first.started
        work.compute_s = sum(part.compute_s for part in self.works)
        work.busy_s = sum(part.busy_s for part in self.works)
        self.on_end(work, outcome)
        if isinstance(outcome, PenstockError):
            for other in self.works:
                self._abandon(other)
        # Pieces know the whole: without this, tensors would wait for the garbage collector.
        self.works, self._outcomes, self.owner = [], {}, None

    def _joined_or_error(self) -> Outcome:
        try:
            return self._joined()
        except (KeyError, ValueError):
            rows = max(work.rows for work in self.works)
            return ModelFailed(
                "the model's outputs differ in shape from one part of the request to the next, so they cannot be "
                f"put together; send at most {rows} rows at a time"
            )

    def _joined(self) -> Tensors:
        outcomes = [self._outcomes[index] for index in range(len(self.works))]
        parts = [outcome for outcome in outcomes if not isinstance(outcome, PenstockError | Generated)]
        joined: dict[str, Tensor] = {}
        for name, tensor in parts[0].items():
            arrays = [part[name].array for part in parts]
            joined[name] = Tensor(tensor.datatype, np.concatenate(arrays))
        return joined


Span = tuple[int, int]
"""The first of some consecutive rows, and the one after the last."""


def spans(rows: int, size: int) -> list[Span]:
    """Consecutive spans of at most `size` rows."""
    return [(at, min(at + size, rows)) for at in range(0, rows, size)]


def cut(tensors: Tensors, start: int, stop: int) -> Tensors:
    """Some rows of every tensor (views)."""
    return {name: Tensor(tensor.datatype, tensor.array[start:stop]) for name, tensor in tensors.items()}
