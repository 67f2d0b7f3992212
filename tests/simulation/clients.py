"""Virtual clients: what they send, and what they remember of it."""

from __future__ import annotations

from enum import Enum
from typing import Any

import numpy as np

from penstock.core.tensors import Tensor
from penstock.scheduling.work import Work


class Kind(Enum):
    """What a piece of work does to the worker that runs it."""

    GOOD = "good"
    BAD = "bad"
    CRASH = "crash"
    HANG = "hang"


class Sent:
    """One piece of work as its sender remembers it. `content` is equal for a request sent again."""

    __slots__ = (
        "accused",
        "content",
        "deaths",
        "failures",
        "given_up",
        "ids",
        "kind",
        "stand",
        "twin",
        "work",
        "wrong",
    )

    def __init__(self, work: Work, ids: list[int], kind: Kind, content: int):
        self.work = work
        self.ids = ids
        self.kind = kind
        self.content = content
        self.stand: Any = None
        self.given_up = False
        self.deaths = 0
        self.failures = 0
        self.accused = False
        self.wrong = False
        self.twin: Sent | None = None

    def __repr__(self) -> str:
        work = self.work
        return (
            f"<{self.kind.value} #{self.content} rows={work.rows} size={work.size} key={work.key} level={work.level}"
            f" arrived={work.arrived:.4f} deadline={work.deadline:.4f} deaths={self.deaths}>"
        )


def tensors_of(ids: list[int]) -> dict[str, Tensor]:
    """The rows' identities as the only input."""
    return {"id": Tensor("INT64", np.array(ids, dtype=np.int64))}
