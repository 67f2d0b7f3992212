"""A stream of questions of which a given share was asked before, the popular ones most often."""

from __future__ import annotations

import random


def arrivals(count: int, repeats: float, seed: int) -> list[int]:
    """So many questions by number, in the order in which they are asked: 0, 1, 2, ... where each is new.

    Each is new with probability 1 - `repeats`; otherwise it asks what a request drawn evenly from all earlier ones
    asked. That is Simon's process (H. A. Simon, "On a class of skew distribution functions", Biometrika 42, 1955): how
    often a question is asked follows Zipf's law with exponent `repeats`, and the share of repeats is the same at any
    place in the stream, so that a fast server and a slow one meet the same workload.
    """
    draw = random.Random(seed)
    order: list[int] = []
    new = 0
    for position in range(count):
        if position and draw.random() < repeats:
            order.append(order[draw.randrange(position)])
        else:
            order.append(new)
            new += 1
    return order


def repeated(order: list[int]) -> float:
    """The share of requests whose question was asked before."""
    return 1 - len(set(order)) / len(order)
