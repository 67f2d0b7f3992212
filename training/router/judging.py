"""Judges scores on subjects that their makers never saw, with confidence intervals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.routing.complexity.judge import Judged, judge
from training.router.data import Labelled
from training.router.learn import STRENGTH, Sample, learn_text, learn_vectors, text_odds
from training.router.peers import PEERS

Floats = NDArray[np.floating[Any]]
Score = Callable[[Sample, Sample], Floats]
FOLDS = 10
WITHOUT, WITH_VECTORS = "Penstock, text features", "Penstock, with MiniLM"
RESAMPLES = 300


def of_text(train: Sample, test: Sample) -> Floats:
    """The shipped model on cheap features. Without its intercept: folds leave out different subjects, so theirs differ,
    and their scores are put in one order."""
    text = learn_text(train, STRENGTH)
    return np.asarray(text_odds(text, test.rows) - text.intercept)


def of_vectors(train: Sample, test: Sample) -> Floats:
    """The same with embeddings."""
    assert train.vectors is not None
    assert test.vectors is not None
    text = learn_text(train, STRENGTH)
    vectors = learn_vectors(train, text, train.vectors, "")
    odds = text_odds(text, test.rows) - text.intercept
    return np.asarray(vectors.text * odds + (test.vectors - np.array(vectors.mean)) @ np.array(vectors.weights))


def scores() -> dict[str, Score]:
    """All that are compared."""
    peers: dict[str, Score] = {name: _of_texts(peer) for name, peer in PEERS.items()}
    return {**peers, WITHOUT: of_text, WITH_VECTORS: of_vectors}


def _of_texts(peer: Callable[[Labelled, Labelled], Floats]) -> Score:
    return lambda train, test: peer(train.data, test.data)


def folds(subjects: NDArray[np.str_], seed: int = 0) -> NDArray[np.int64]:
    """The fold of each question; a subject is in one fold as a whole."""
    names = np.unique(subjects)
    order = np.random.default_rng(seed).permutation(len(names))
    of = dict(zip(names[order], np.arange(len(names)) % FOLDS, strict=True))
    return np.array([of[subject] for subject in subjects])


def unseen(score: Score, sample: Sample, seed: int = 0) -> Floats:
    """The score of every question by a model that saw none of its subject."""
    fold, found = folds(sample.data.subject, seed), np.zeros(len(sample.data.prompt))
    for each in range(FOLDS):
        found[fold == each] = score(sample.of(fold != each), sample.of(fold == each))
    return found


def intervals(hard: Floats, gain: Floats, subjects: NDArray[np.str_], *, whole: bool) -> dict[str, tuple[float, float]]:
    """95 % intervals by the bootstrap: over questions, or over whole subjects."""
    rng, names = np.random.default_rng(1), np.unique(subjects)
    places = [np.flatnonzero(subjects == name) for name in names]
    drawn = []
    while len(drawn) < RESAMPLES:
        if whole:
            chosen = np.concatenate([places[place] for place in rng.integers(len(names), size=len(names))])
        else:
            chosen = rng.integers(len(gain), size=len(gain))
        if gain[chosen].sum() > 0:
            drawn.append(judge(hard[chosen], gain[chosen]))
    low, high = np.percentile(np.array(drawn), [2.5, 97.5], axis=0)
    return {
        name: (round(float(a), 3), round(float(b), 3)) for name, a, b in zip(Judged._fields, low, high, strict=True)
    }


def within_subjects(hard: Floats, gain: Floats, subjects: NDArray[np.str_]) -> float:
    """The mean area inside a subject, weighted by its gap: what is left where the subject says nothing."""
    found, weight = [], []
    for name in np.unique(subjects):
        own = subjects == name
        if gain[own].sum() > 0.05 * own.sum():
            found.append(judge(hard[own], gain[own]).apgr)
            weight.append(gain[own].sum())
    return float(np.average(found, weights=weight))


def like_the_last(score: Score, sample: Sample, rounds: int = 10) -> list[Judged]:
    """Judged on 14 unseen subjects and on half of GSM8K, whose other half was seen; drawn `rounds` times."""
    subjects, found = sample.data.subject, []
    names = np.array([name for name in np.unique(subjects) if name != "gsm8k"])
    for seed in range(rounds):
        rng = np.random.default_rng(seed)
        test = np.isin(subjects, rng.choice(names, 14, replace=False))
        test |= (subjects == "gsm8k") & (rng.random(len(subjects)) < 0.5)
        gain = (sample.data.large - sample.data.small)[test]
        found.append(judge(score(sample.of(~test), sample.of(test)), gain))
    return found


def calibration(easy: Floats, lost: Floats, bins: int = 5) -> list[dict[str, float]]:
    """By fifths of the estimate: what was said, and how often the small model sufficed."""
    parts = np.array_split(np.argsort(easy), bins)
    return [
        {"said": round(float(easy[part].mean()), 3), "was": round(float(1 - lost[part].mean()), 3), "n": len(part)}
        for part in parts
    ]
