"""The estimate: how likely the small model suffices for a text, and whether that is to be trusted."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from penstock.routing.complexity.artifact import SHIPPED, Artifact, Vectors, read, unpacked
from penstock.routing.complexity.features import FEATURES, VERSION, features_of
from penstock.routing.complexity.gate import reasons
from penstock.routing.complexity.language import Language
from penstock.routing.complexity.logged import Logged
from penstock.routing.complexity.parts import Question, taken_apart


class Estimator:
    """`easy`: the calibrated probability that the strong model would not help (the small one is right, or both fail).
    `sure`: whether the text is of a kind that was trained on."""

    def __init__(self, artifact: Artifact):
        self.artifact = artifact
        self._text = artifact.text
        self._language = Language.read(artifact.known.table, artifact.known.limits)
        self._centres = None if artifact.vectors is None else unpacked(artifact.vectors)

    @classmethod
    def load(cls, path: Path | str | None = None) -> Estimator:
        """The one that is shipped, or one's own file. Raises `ConfigError` when the file is no such model."""
        return cls(read(SHIPPED if path is None else Path(path)))

    def __call__(self, text: str, vector: Sequence[float] | None = None) -> tuple[float, bool]:
        """(easy, sure) of a text, in at most 1 ms. `vector`: its embedding by the model that `embedder` names."""
        question = taken_apart(text)
        row = features_of(question)
        unsure = next(self._unsure(question, row, vector), None)
        return self._easy(self._odds(row), vector), unsure is None

    def logged(self, text: str) -> str:
        """All that is kept of a text where a route has `log_features`: its features and what the gate said."""
        question = taken_apart(text)
        row = features_of(question)
        return Logged(VERSION, row, tuple(self._unsure(question, row, None))).written()

    @property
    def embedder(self) -> str:
        """The embedding model whose vectors are understood; "" for none."""
        return "" if self.artifact.vectors is None else self.artifact.vectors.model

    def threshold(self, strong_share: float, *, vectors: bool = False) -> float:
        """What `easy` has to reach for the small model, so that about this share goes to the strong one.

        Of questions like those of the calibration; what is not known goes to the strong model too and is counted in.
        """
        known = self.artifact.vectors.quantiles if vectors and self.artifact.vectors else self.artifact.quantiles
        unsure = self.artifact.unsure
        share = (strong_share - unsure) / (1 - unsure)
        if share <= 0 or strong_share >= 1:
            return 0.0 if share <= 0 else math.inf
        place = share * (len(known) - 1)
        low = int(place)
        return known[low] + (place - low) * (known[min(low + 1, len(known) - 1)] - known[low])

    def explain(self, text: str, vector: Sequence[float] | None = None) -> dict[str, Any]:
        """The estimate and what it is made of: every feature's value and its push (in log-odds towards the strong
        model), the strongest first; why the text is not known."""
        question = taken_apart(text)
        row = features_of(question)
        signals = [
            {"name": feature.name, "value": round(value, 4), "push": round(push, 4), "reason": feature.reason}
            for feature, value, push in zip(FEATURES, row, self._pushes(row), strict=True)
            if not math.isnan(value)
        ]
        unsure = list(self._unsure(question, row, vector))
        return {
            "easy": round(self._easy(self._odds(row), vector), 4),
            "sure": not unsure,
            "unsure_because": unsure,
            "options": len(question.options),
            "signals": sorted(signals, key=lambda signal: -abs(float(str(signal["push"])))),
        }

    def _pushes(self, row: Sequence[float]) -> list[float]:
        text = self._text
        parts = zip(row, text.mean, text.scale, text.weights, strict=True)
        return [0.0 if math.isnan(value) else weight * (value - mean) / scale for value, mean, scale, weight in parts]

    def _odds(self, row: Sequence[float]) -> float:
        return self._text.intercept + sum(self._pushes(row))

    def _easy(self, odds: float, vector: Sequence[float] | None) -> float:
        vectors = self.artifact.vectors
        if vector is not None and vectors is not None and len(vector) == len(vectors.weights):
            odds = _with_vector(vectors, odds, vector)
        return 1 / (1 + math.exp(max(-40.0, min(40.0, odds))))

    def _unsure(self, question: Question, row: Sequence[float], vector: Sequence[float] | None) -> Iterator[str]:
        accepted = self.artifact.accepted
        found = reasons(question, row, self._text.bounds, self._language)
        yield from (why for why in found if why not in accepted)
        vectors = self.artifact.vectors
        if vector is None or vectors is None or self._centres is None:
            return
        if len(vector) != self._centres.shape[1]:
            yield f"its embedding is not one of {vectors.model}"
        elif float((self._centres @ np.asarray(vector, dtype=np.float32)).max()) < vectors.near:
            yield "means nothing like the known questions"


def _with_vector(vectors: Vectors, odds: float, vector: Sequence[float]) -> float:
    moved = np.asarray(vector) - np.asarray(vectors.mean)
    return vectors.intercept + vectors.text * odds + float(moved @ np.asarray(vectors.weights))
