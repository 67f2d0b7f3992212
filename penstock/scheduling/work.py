"""Work: some rows of one request, on their way through the queue and a worker."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from enum import IntEnum
from typing import Any, TypeAlias

from penstock.core.deadline import NEVER, Deadline
from penstock.core.reply import Outcome
from penstock.core.tensors import Tensors


class Phase(IntEnum):
    """Where a piece of work stands; it only moves forward, except back to QUEUED for a replay."""

    QUEUED = 0
    RUNNING = 1
    ENDED = 2


OnEnd: TypeAlias = "Callable[[Work, Outcome], None]"
"""Who is told that work has ended, and how."""


class Work:
    """Rows that run together or not at all.

    `key`: only work of equal keys may share a batch. `level`: priority, 0 the most urgent.
    `size`: its estimated tokens, where rows are counted so. `first`: the place of its first row in its request.
    `deaths`: workers that died while running it. `on_end` is called exactly once.
    Moments are on the scheduler's clock: `arrived`, `free` (when a worker was free for it),
    `started` (sent to the worker), `finished` (its result came back). `busy_s`: its share of the batch's compute time.
    """

    __slots__ = (
        "arrived",
        "batch_rows",
        "busy_s",
        "compute_s",
        "deadline",
        "deaths",
        "finished",
        "first",
        "free",
        "key",
        "level",
        "on_end",
        "owner",
        "phase",
        "place",
        "rows",
        "size",
        "started",
        "tensors",
        "weight",
    )

    def __init__(
        self,
        tensors: Tensors,
        rows: int,
        on_end: OnEnd,
        *,
        key: Hashable = None,
        level: int = 1,
        deadline: Deadline = NEVER,
        owner: Any = None,
        size: int = 0,
        first: int = 0,
        place: int = 0,
        weight: float = 1.0,
    ):
        self.tensors = tensors
        self.rows = rows
        self.on_end = on_end
        self.key = key
        self.level = level
        self.deadline = deadline
        self.owner = owner
        self.size = size
        self.first = first
        self.place = place
        self.weight = weight
        self.phase = Phase.QUEUED
        self.deaths = 0
        self.batch_rows = 0
        self.arrived = self.free = self.started = self.finished = 0.0
        self.compute_s = self.busy_s = 0.0

    def end(self, outcome: Outcome) -> bool:
        """Ends the work; False when it had ended before."""
        if self.phase is Phase.ENDED:
            return False
        self.phase = Phase.ENDED
        self.on_end(self, outcome)
        return True
