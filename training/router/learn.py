"""Learns the estimator from labelled questions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from penstock.routing.complexity.artifact import Artifact, Known, Linear, Vectors, packed
from penstock.routing.complexity.estimate import Estimator
from penstock.routing.complexity.features import FEATURES, NAMES, VERSION, features
from penstock.routing.complexity.language import LENGTHS, Language
from penstock.routing.complexity.parts import taken_apart
from penstock.routing.complexity.refit import fit
from training.router.data import Labelled

Floats = NDArray[np.floating[Any]]
SIGNS = np.array([feature.sign for feature in FEATURES], dtype=float)
STRENGTH = 10_000.0
"""How firmly the weights are held at equal ones with the signs of the features (infinite: they stay there)."""
EMBEDDING_STRENGTH = 300.0
CENTRES = 48
GROUPS = 5
SURPRISED, SLACK = 99.5, 0.12
"""The limits of surprise: what this share of known texts, in %, stays under, and a little more (nats)."""
NO_CALIBRATION = (0.0,) * 101


@dataclass(frozen=True)
class Sample:
    """Labelled questions with what is computed of them once. `vectors`: embeddings, None without."""

    data: Labelled
    rows: Floats
    vectors: Floats | None = None

    def of(self, chosen: NDArray[np.bool_]) -> Sample:
        """Some of the questions."""
        return Sample(self.data.of(chosen), self.rows[chosen], None if self.vectors is None else self.vectors[chosen])

    @property
    def lost(self) -> Floats:
        """1 where asking the large model helps: it is right and the small one is not."""
        return np.asarray(self.data.large * (1 - self.data.small))


def sample(data: Labelled, vectors: Floats | None = None) -> Sample:
    """With the features of every question."""
    return Sample(data, np.array([features(prompt) for prompt in data.prompt]), vectors)


def learn(train: Sample, strength: float = STRENGTH, embedder: str = "all-MiniLM-L6-v2") -> Artifact:
    """The artifact, not calibrated yet: its quantiles come from questions that it was not trained on."""
    text = learn_text(train, strength)
    known = learn_language(train.data)
    vectors = (
        None if train.vectors is None else place(learn_vectors(train, text, train.vectors, embedder), train.vectors)
    )
    return Artifact(VERSION, NAMES, text, known, NO_CALIBRATION, 0.0, vectors)


def learn_text(train: Sample, strength: float) -> Linear:
    """Logistic regression of `Sample.lost`, pulled towards equal weights."""
    mean, scale = _spread(train.rows)
    rows = np.nan_to_num((train.rows - mean) / scale)
    index = rows @ SIGNS
    even = fit(index[:, None], train.lost, np.zeros(1), 1e-6).weights[0]
    found = fit(rows, train.lost, even * SIGNS, strength)
    low, high = np.fmin.reduce(train.rows, axis=0), np.fmax.reduce(train.rows, axis=0)
    bounds = np.nan_to_num(np.stack([low, high], axis=1))
    return Linear(
        round(found.intercept, 5), _plain(found.weights), _plain(mean), _plain(scale), tuple(map(_pair, bounds))
    )


def learn_language(data: Labelled) -> Known:
    """How letters follow each other in the questions, and how surprising texts of each length may be: as those of
    subjects are to who knows only the other subjects."""
    stems = [taken_apart(prompt).stem for prompt in data.prompt]
    group = np.unique(data.subject, return_inverse=True)[1] % GROUPS
    seen: list[list[float]] = [[] for _ in LENGTHS]
    for each in range(GROUPS):
        language = Language.learn(stem for stem, own in zip(stems, group, strict=True) if own != each)
        for stem in (stem for stem, own in zip(stems, group, strict=True) if own == each):
            for place, size in enumerate(LENGTHS):
                if len(stem) >= size:
                    seen[place].append(language.surprise(stem[:size]))
    limits: list[float] = []
    for values in seen:
        # Longer ones than there are may surprise as the longest do.
        limits.append(round(float(np.percentile(values, SURPRISED)) + SLACK, 4) if values else limits[-1])
    return Known(Language.learn(stems).written(), tuple(limits))


def learn_vectors(train: Sample, text: Linear, vectors: Floats, embedder: str) -> Vectors:
    """What embeddings add to the text's odds."""
    odds, mean = text_odds(text, train.rows), vectors.mean(axis=0)
    design = np.column_stack([odds, vectors - mean])
    strength = np.concatenate([[EMBEDDING_STRENGTH], np.full(vectors.shape[1], EMBEDDING_STRENGTH)])
    found = fit(design, train.lost, np.concatenate([[1.0], np.zeros(vectors.shape[1])]), strength)
    weights = (round(found.intercept, 5), round(float(found.weights[0]), 5), _plain(mean), _plain(found.weights[1:]))
    return Vectors(embedder, *weights, 0, "", 0.0, NO_CALIBRATION)


def place(learned: Vectors, vectors: Floats) -> Vectors:
    """With where the known questions are: what is far from all of them means something else."""
    centres = _centres(vectors)
    near = float(np.percentile((vectors @ centres.T).max(axis=1), 0.5))
    return msgspec.structs.replace(learned, count=CENTRES, centres=packed(centres), near=round(near, 4))


def _spread(rows: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation of each feature where it is there; one that is always the same counts for nothing."""
    there = ~np.isnan(rows)
    count = np.maximum(1, there.sum(axis=0))
    mean = np.where(there, rows, 0).sum(axis=0) / count
    scale = np.sqrt((np.where(there, rows - mean, 0) ** 2).sum(axis=0) / count)
    return mean, np.where(scale > 1e-9, scale, 1.0)


def text_odds(text: Linear, rows: Floats) -> Floats:
    """Log-odds of many rows at once."""
    scaled = np.nan_to_num((rows - np.array(text.mean)) / np.array(text.scale))
    return np.asarray(text.intercept + scaled @ np.array(text.weights))


def estimates(artifact: Artifact, test: Sample, *, vectors: bool = False) -> tuple[Floats, NDArray[np.bool_]]:
    """(easy, sure) of questions, as the server says them."""
    estimator = Estimator(artifact)
    used = test.vectors if vectors and test.vectors is not None else [None] * len(test.data.prompt)
    said = [estimator(prompt, vector) for prompt, vector in zip(test.data.prompt, used, strict=True)]
    return np.array([easy for easy, _ in said]), np.array([sure for _, sure in said])


def _centres(vectors: Floats) -> Floats:
    from sklearn.cluster import KMeans

    found = KMeans(CENTRES, n_init=2, random_state=0).fit(vectors).cluster_centers_
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True))


def _plain(values: Floats) -> tuple[float, ...]:
    return tuple(round(float(value), 5) for value in values)


def _pair(values: Floats) -> tuple[float, float]:
    return (round(float(values[0]), 4), round(float(values[1]), 4))
