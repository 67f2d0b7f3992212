"""How a batch is cut into micro-batches: shapes from a fixed grid, with as little padding as pays.

Engines compile their kernels per shape, so few shapes are used again and again; every call costs as much as some
tokens. Dynamic programming over the rows, longest first, finds the cheapest cut. Only the last micro-batch, that of
the shortest rows, may be filled up with empty ones: any other could take rows of its neighbour at no cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

ROWS = (1, 2, 4, 8, 16, 32, 64)
SHORTEST = 8
# Up to each length, the step between lengths; and beyond.
_STEPS = ((32, 4), (64, 8), (128, 16), (256, 32), (512, 64))
_BEYOND = 256
# What a call costs besides its tokens, in tokens; the most tokens that a call takes, unless it is one row.
CALL = 32
MOST = 1024


class Micro(NamedTuple):
    """Some rows of a batch, by number, and the shape that they are padded to."""

    members: Sequence[int]
    rows: int
    length: int


class Planner:
    """Cuts batches of rows of up to `longest` tokens."""

    def __init__(self, longest: int, call: int = CALL, most: int = MOST):
        self._longest = longest
        self._call = call
        self._most = most

    def padded(self, length: int) -> int:
        """The length of the grid that holds so many tokens."""
        step = next((step for upto, step in _STEPS if length <= upto), _BEYOND)
        return min(max(SHORTEST, -(-length // step) * step), self._longest)

    def prices(self, length: int) -> list[tuple[int, int]]:
        """How many rows of that length a call may take, each with its cost in tokens."""
        return [(rows, self._call + rows * length) for rows in ROWS if rows == 1 or rows * length <= self._most]

    def plan(self, lengths: Sequence[int]) -> list[Micro]:
        """Micro-batches that hold every row once, at the least cost. `lengths`: tokens of each row."""
        order = sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True)
        padded = [self.padded(lengths[row]) for row in order]
        takes = self._takes(padded)
        micros: list[Micro] = []
        at = 0
        while at < len(order):
            micros.append(Micro(order[at : at + takes[at]], takes[at], padded[at]))
            at += takes[at]
        return micros

    def _takes(self, lengths: Sequence[int]) -> list[int]:
        """For every row, how many a micro-batch takes that begins with it. `lengths`: padded, falling."""
        prices = {length: self.prices(length) for length in set(lengths)}
        takes, costs = [1] * len(lengths), [0] * (len(lengths) + ROWS[-1])
        for at in range(len(lengths) - 1, -1, -1):
            best = None
            for rows, price in prices[lengths[at]]:
                total = price + costs[at + rows]
                if best is None or total <= best:
                    best, takes[at], costs[at] = total, rows, total
        return takes
