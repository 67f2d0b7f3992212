"""How well an order of questions says which need the strong model: APGR and CPT, as RouteLLM defines them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


class Judged(NamedTuple):
    """`apgr`: the area under the share of the quality gap that is closed over the share of strong calls (chance: 0.5);
    `cpt50`, `cpt80`: the least share of strong calls that closes half, and four fifths, of the gap."""

    apgr: float
    cpt50: float
    cpt80: float


def curve(hard: Floats, gain: Floats) -> Floats:
    """The share of the gap that is closed when the hardest 0, 1, 2 ... questions go to the strong model.

    `hard`: any score, higher is harder; equal ones share what they gain, so their order does not matter. `gain`: the
    strong model's score minus the small one's. Raises ValueError where the strong model is no better on the whole.
    """
    total = float(np.sum(gain))
    if total <= 0:
        raise ValueError("the strong model is no better on these questions: there is no gap to close")
    _, group, size = np.unique(-np.asarray(hard), return_inverse=True, return_counts=True)
    mean = np.bincount(group, gain) / size
    return np.concatenate([[0.0], np.cumsum(np.repeat(mean, size)) / total])


def judge(hard: Floats, gain: Floats) -> Judged:
    """All three numbers of a score. Raises ValueError as `curve` does."""
    closed = curve(hard, gain)
    area = float(np.sum((closed[1:] + closed[:-1]) / 2) / (len(closed) - 1))
    return Judged(area, _least(closed, 0.5), _least(closed, 0.8))


def _least(closed: Floats, share: float) -> float:
    return float(np.argmax(closed >= share - 1e-12)) / (len(closed) - 1)
