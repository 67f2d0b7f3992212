"""Logistic regression that starts from what is believed, and leaves it as far as the data say."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
STEPS = 50


class Fit(NamedTuple):
    """The log-odds of y = 1 are `intercept` + `weights` · row."""

    intercept: float
    weights: Floats


def fit(rows: Floats, y: Floats, prior: Floats, strength: float | Floats) -> Fit:
    """The likeliest weights, with a penalty of `strength` / 2 × their squared distance from `prior`.

    `y`: 0 to 1, shares allowed; the intercept is free. `strength`: one for all weights, or one for each; infinite
    ones stay at the prior. Newton's method: it ends where it stands still.
    """
    penalty = np.broadcast_to(np.asarray(strength, dtype=float), prior.shape)
    free = np.flatnonzero(np.isfinite(penalty))
    offset = rows @ np.where(np.isfinite(penalty), 0.0, prior)
    design = np.column_stack([np.ones(len(rows)), rows[:, free]])
    believed, pull = np.concatenate([[0.0], prior[free]]), np.concatenate([[1e-6], penalty[free]])
    found = believed.copy()
    for _ in range(STEPS):
        step = _newton(design, y, offset, found, pull, believed)
        found = found - step
        if float(np.max(np.abs(step))) < 1e-8:
            break
    weights = prior.astype(float).copy()
    weights[free] = found[1:]
    return Fit(float(found[0]), weights)


def _newton(design: Floats, y: Floats, offset: Floats, at: Floats, pull: Floats, believed: Floats) -> Floats:
    chance = sigmoid(design @ at + offset)
    slope = design.T @ (chance - y) + pull * (at - believed)
    bend = (design * (chance * (1 - chance))[:, None]).T @ design + np.diag(pull)
    step: Floats = np.linalg.solve(bend, slope)
    # A first step from far away may overshoot where the chances are near 0 or 1.
    return step * min(1.0, 4.0 / max(1e-12, float(np.max(np.abs(step)))))


def sigmoid(odds: Floats) -> Floats:
    """Chances of log-odds."""
    return np.asarray(1 / (1 + np.exp(-np.clip(odds, -40, 40))))
