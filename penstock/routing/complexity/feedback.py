"""Fits the estimator again, to one's own questions and to how good the small model's answers were."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from penstock.core.errors import ConfigError
from penstock.routing.complexity.artifact import Artifact, Linear, quantiles
from penstock.routing.complexity.estimate import Estimator
from penstock.routing.complexity.logged import Logged
from penstock.routing.complexity.refit import fit, sigmoid

Floats = NDArray[np.floating[Any]]
LEAST = 100
"""Rated answers below which nothing is learned."""
ENOUGH = 30
"""Rated answers of a kind that the gate sent on, from which on it is known."""
STRENGTHS = (3.0, 30.0, 300.0, 3000.0, math.inf)
"""How firmly the weights may be held where they were; what holds best on answers that were left out is taken."""
FOLDS = 5


class Rated(NamedTuple):
    """An answer of the small model: what its question was like, and how good it was, 0 to 1."""

    question: Logged
    score: float


class Calibration(NamedTuple):
    """A new artifact, and how good it is on answers that it was not fitted to. Losses are nats per answer (log-loss):
    of the old estimate, of one number for all, and of the new estimate. `strength`: how firmly old weights hold;
    `accepted`: kinds of questions that the gate now knows."""

    artifact: Artifact
    answers: int
    before: float
    constant: float
    after: float
    strength: float
    accepted: tuple[str, ...]

    @property
    def better(self) -> bool:
        """Whether the new estimate says more than the old one and than one number for all."""
        return self.after < min(self.before, self.constant)


def calibrate(artifact: Artifact, answers: Sequence[Rated]) -> Calibration:
    """Fits weights and intercept again, starting from the artifact's. Raises `ConfigError` for too few answers, or for
    answers that are all the same."""
    bad = np.array([1 - each.score for each in answers])
    _check(bad)
    rows = scaled(artifact.text, [each.question.row for each in answers])
    losses = {strength: _left_out(artifact.text, rows, bad, strength) for strength in STRENGTHS}
    strength = min(STRENGTHS, key=lambda each: losses[each])
    found = fit(rows, bad, np.array(artifact.text.weights), strength)
    text = msgspec.structs.replace(
        artifact.text,
        intercept=round(found.intercept, 5),
        weights=tuple(round(float(weight), 5) for weight in found.weights),
        bounds=_widened(artifact.text, answers),
    )
    accepted = _accepted(artifact, answers)
    made = msgspec.structs.replace(artifact, text=text, vectors=None, accepted=accepted)
    made = msgspec.structs.replace(made, **_spread(made, rows, answers), about=_about(artifact, answers))
    before = _loss(sigmoid(artifact.text.intercept + rows @ np.array(artifact.text.weights)), bad)
    constant = _loss(np.full(len(bad), bad.mean()), bad)
    return Calibration(made, len(answers), before, constant, losses[strength], strength, accepted)


def rated(estimator: Estimator, prompt: str, score: float) -> Rated:
    """An answer whose question is at hand."""
    return Rated(Logged.read(estimator.logged(prompt)), score)


def scaled(text: Linear, rows: Sequence[Sequence[float]]) -> Floats:
    """Features as the weights take them; those of options are 0 where there are none."""
    found = (np.array(rows, dtype=float) - np.array(text.mean)) / np.array(text.scale)
    return np.asarray(np.nan_to_num(found))


def _check(bad: Floats) -> None:
    if len(bad) < LEAST:
        raise ConfigError(
            f"a calibration needs at least {LEAST} rated answers of the small model; there are {len(bad)}"
        )
    if float(np.ptp(bad)) == 0.0:
        raise ConfigError("all rated answers have the same score: there is nothing to tell good and bad ones apart by")


def _left_out(text: Linear, rows: Floats, bad: Floats, strength: float) -> float:
    """The loss on answers that were left out, each once."""
    fold, said = np.random.default_rng(0).permutation(len(bad)) % FOLDS, np.zeros(len(bad))
    for each in range(FOLDS):
        found = fit(rows[fold != each], bad[fold != each], np.array(text.weights), strength)
        said[fold == each] = sigmoid(found.intercept + rows[fold == each] @ found.weights)
    return _loss(said, bad)


def _loss(said: Floats, bad: Floats) -> float:
    said = np.clip(said, 1e-6, 1 - 1e-6)
    return float(-np.mean(bad * np.log(said) + (1 - bad) * np.log(1 - said)))


def _widened(text: Linear, answers: Sequence[Rated]) -> tuple[tuple[float, float], ...]:
    """Bounds that take in all but the strangest hundredth of one's own questions."""
    rows = np.array([each.question.row for each in answers], dtype=float)
    found = []
    for own, (low, high) in zip(rows.T, text.bounds, strict=True):
        own = own[~np.isnan(own)]
        if len(own) >= ENOUGH:
            low, high = min(low, float(np.percentile(own, 0.5))), max(high, float(np.percentile(own, 99.5)))
        found.append((round(low, 4), round(high, 4)))
    return tuple(found)


def _accepted(artifact: Artifact, answers: Sequence[Rated]) -> tuple[str, ...]:
    counts = Counter(why for each in answers for why in each.question.unsure)
    return tuple(sorted({*artifact.accepted, *(why for why, count in counts.items() if count >= ENOUGH)}))


def _spread(artifact: Artifact, rows: Floats, answers: Sequence[Rated]) -> dict[str, Any]:
    """How estimates spread over one's own questions, and how many of these the gate sends on."""
    easy = 1 - sigmoid(artifact.text.intercept + rows @ np.array(artifact.text.weights))
    sure = np.array([all(why in artifact.accepted for why in each.question.unsure) for each in answers])
    own = easy[sure] if sure.any() else easy
    return {"quantiles": quantiles(own), "unsure": round(float(1 - sure.mean()), 4)}


def _about(artifact: Artifact, answers: Sequence[Rated]) -> dict[str, Any]:
    return {"calibrated on": len(answers), "from": artifact.about}
