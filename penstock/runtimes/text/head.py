"""What every task makes of the network's numbers; one module per task has its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from penstock.core.errors import ModelFileError
from penstock.core.signature import TensorSpec
from penstock.core.tensors import Array
from penstock.runtimes.text.reading import Row


class Head(Protocol):
    """From the network's numbers to a task's outputs.

    `pairs`: a row may be (None: never, False: may, True: must be) two texts. `places`: it needs to know where in the
    text tokens are.
    """

    pairs: bool | None
    places: bool

    def outputs(self, shape: Sequence[int]) -> tuple[TensorSpec, ...]:
        """What it answers, given the shape of the network's numbers for some rows.

        Raises `ModelFileError` when they are not what the task needs.
        """

    def check(self, rows: Sequence[Row]) -> None:
        """Raises `BadRows` for rows that the task has no answer to."""

    def answer(self, values: Array, rows: Sequence[Row]) -> dict[str, Array]:
        """The outputs of some rows. values: [at least rows, ...], padded, FP32."""


def check_rank(shape: Sequence[int], rank: int, task: str) -> None:
    """Raises `ModelFileError` unless the network's numbers have so many axes."""
    if len(shape) != rank:
        wanted = "one row of numbers per token" if rank == 3 else "one row of numbers per text"
        raise ModelFileError(f"the file does not fit the task {task}: it does not answer {wanted}")


def check_labels(found: int, labels: Sequence[str]) -> None:
    """Raises `ModelFileError` unless there is a label for each of a classifier's classes."""
    if found != len(labels):
        raise ModelFileError(f"the file has {found} classes, but config.json names {len(labels)} labels")
