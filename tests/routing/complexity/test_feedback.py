"""Calibration on feedback whose rule is known."""

from __future__ import annotations

import random

import pytest

from penstock.core.errors import ConfigError
from penstock.routing.complexity.artifact import read, write
from penstock.routing.complexity.estimate import Estimator
from penstock.routing.complexity.feedback import Rated, calibrate, rated

NOUNS = ("river", "contract", "engine", "protein", "market", "theorem", "violin", "treaty")


@pytest.fixture(scope="module")
def estimator() -> Estimator:
    return Estimator.load()


def answers(estimator: Estimator, count: int, seed: int = 0) -> list[Rated]:
    """Here the small model fails at questions that begin with what, nearly always: the opposite of what is shipped."""
    rng, found = random.Random(seed), []
    for _ in range(count):
        noun, other = rng.choice(NOUNS), rng.choice(NOUNS)
        short = rng.random() < 0.5
        text = f"What is the name of a {noun}?" if short else f"If a {noun} is not a {other}, could it be in 3 of them?"
        found.append(rated(estimator, text, float(rng.random() < (0.1 if short else 0.9))))
    return found


def test_it_learns_what_is_different_here(estimator: Estimator, tmp_path) -> None:
    found = calibrate(estimator.artifact, answers(estimator, 600))
    assert found.better
    assert found.after < 0.45 < found.constant < found.before
    write(found.artifact, tmp_path / "own.json")
    own = Estimator.load(tmp_path / "own.json")
    assert own("What is the name of a river?")[0] < 0.3
    assert own("If a river is not a market, could it be in 3 of them?")[0] > 0.7
    assert own.artifact == read(tmp_path / "own.json")
    hard = sum(own(text)[0] < own.threshold(0.5) for text in ("What is the name of a river?",) * 10)
    assert hard == 10


def test_noise_is_not_taken_for_knowledge(estimator: Estimator) -> None:
    rng = random.Random(1)
    noise = [each._replace(score=float(rng.random() < 0.8)) for each in answers(estimator, 400)]
    found = calibrate(estimator.artifact, noise)
    assert found.after > found.constant - 0.01


def test_a_kind_of_which_there_is_enough_becomes_known(estimator: Estimator) -> None:
    rng = random.Random(2)
    texts = [f"Summarize the report about the {rng.choice(NOUNS)} in a few words." for _ in range(150)]
    kind = "asks for something to be made (summarize)"
    assert estimator.explain(texts[0])["unsure_because"] == [kind]
    found = calibrate(estimator.artifact, [rated(estimator, text, rng.random()) for text in texts])
    assert found.accepted == (kind,)
    assert Estimator(found.artifact)(texts[0])[1]
    assert not Estimator(found.artifact)("Write a poem about the sea.")[1]
    assert found.artifact.unsure == 0


@pytest.mark.parametrize(("count", "score", "says"), [(99, None, "at least 100"), (200, 1.0, "same score")])
def test_what_teaches_nothing_is_refused(estimator: Estimator, count: int, score: float | None, says: str) -> None:
    found = answers(estimator, count)
    with pytest.raises(ConfigError, match=says):
        calibrate(estimator.artifact, found if score is None else [each._replace(score=score) for each in found])
