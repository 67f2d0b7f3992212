"""Work for the scheduler's tests, made in one line."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np

from penstock.core.deadline import NEVER
from penstock.core.reply import Outcome
from penstock.core.tensors import Tensor, Tensors
from penstock.scheduling.work import Work


class Ends(list[tuple[Work, Outcome]]):
    """Remembers who ended and how."""

    def __call__(self, work: Work, outcome: Outcome) -> None:
        self.append((work, outcome))

    def of(self, work: Work) -> list[Outcome]:
        """Every end of one piece of work."""
        return [outcome for other, outcome in self if other is work]


def numbers(*values: int) -> dict[str, Tensor]:
    """One column of integers."""
    return {"x": Tensor("INT64", np.array(values, dtype=np.int64))}


def work(
    *values: int,
    at: float = 0.0,
    key: Hashable = None,
    level: int = 1,
    deadline: float = NEVER,
    ends: Ends | None = None,
) -> Work:
    """Work of one row per value (one row without values)."""
    values = values or (0,)
    made = Work(
        numbers(*values), len(values), Ends() if ends is None else ends, key=key, level=level, deadline=deadline
    )
    made.arrived = at
    return made


def values_of(tensors: Tensors) -> list[int]:
    """What `numbers` was made of."""
    found: list[int] = tensors["x"].array.tolist()
    return found
