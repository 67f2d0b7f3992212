"""The shipped estimate: what it says of questions, how fast, and what it does with what it does not know."""

from __future__ import annotations

import random
import subprocess
import sys
import time

import pytest

from penstock.routing.complexity.artifact import SHIPPED
from penstock.routing.complexity.estimate import Estimator
from tests.routing.complexity import questions


@pytest.fixture(scope="module")
def estimator() -> Estimator:
    return Estimator.load()


def test_one_fact_is_easier_than_several_steps(estimator: Estimator) -> None:
    easy = [estimator(text)[0] for text in questions.EASY]
    hard = [estimator(text)[0] for text in questions.HARD]
    assert min(easy) > max(hard)
    assert all(0 < value < 1 for value in easy + hard)


@pytest.mark.parametrize("text", questions.KNOWN)
def test_questions_of_known_kinds_are_known(estimator: Estimator, text: str) -> None:
    assert estimator(text)[1], estimator.explain(text)["unsure_because"]


@pytest.mark.parametrize(
    "text", [*questions.OTHER_LANGUAGES, *questions.GARBAGE, *questions.CODE, *questions.TO_MAKE], ids=lambda t: t[:30]
)
def test_what_is_not_known_is_said_to_be(estimator: Estimator, text: str) -> None:
    easy, sure = estimator(text)
    assert not sure
    assert 0 <= easy <= 1
    assert estimator.explain(text)["unsure_because"]


def test_random_texts_never_raise_and_are_not_known(estimator: Estimator) -> None:
    rng = random.Random(4)
    for length in (1, 2, 3, 10, 100, 1000, 5000) * 5:
        text = "".join(chr(rng.choice((rng.randrange(32, 127), rng.randrange(0xD800)))) for _ in range(length))
        easy, sure = estimator(text)
        assert 0 <= easy <= 1
        assert not sure, text


def test_an_estimate_takes_less_than_a_millisecond(estimator: Estimator) -> None:
    text = questions.HARD[0]
    estimator(text)
    best = min(_timed(estimator, text) for _ in range(50))
    assert best < 0.001


@pytest.mark.parametrize(
    "text",
    [
        "What is " + "a" * 1_000_000,
        '"“' * 100_000,
        "(" * 50_000,
        "\n" * 100_000 + "?",
        "select from " * 50_000,
        "please " * 50_000,
        "A. a\n" * 20_000,
        "12,345.6" * 30_000,
        "increase er than " * 20_000,
    ],
    ids=lambda text: text[:12],
)
def test_no_text_however_long_or_odd_takes_long(estimator: Estimator, text: str) -> None:
    assert min(_timed(estimator, text) for _ in range(3)) < 0.01


def test_thresholds_rise_with_the_strong_share(estimator: Estimator) -> None:
    thresholds = [estimator.threshold(share / 20) for share in range(21)]
    assert thresholds == sorted(thresholds)
    assert estimator.threshold(0.0) == 0.0
    assert estimator.threshold(1.0) > 1.0


def test_all_pushes_together_are_the_estimate(estimator: Estimator) -> None:
    import math

    said = estimator.explain(questions.HARD[1])
    odds = estimator.artifact.text.intercept + sum(signal["push"] for signal in said["signals"])
    assert 1 / (1 + math.exp(odds)) == pytest.approx(said["easy"], abs=2e-3)
    assert said["options"] == 4


def test_an_embedding_moves_the_estimate_and_a_strange_one_is_not_known(estimator: Estimator) -> None:
    vectors = estimator.artifact.vectors
    assert vectors is not None
    text = questions.EASY[0]
    near = [float(value) for value in estimator._centres[0]]  # type: ignore[index]
    easy, sure = estimator(text, near)
    assert sure
    assert easy != estimator(text)[0]
    assert not estimator(text, [-value for value in near])[1]
    assert estimator(text, [0.1] * 7) == (estimator(text)[0], False)


def test_it_is_small_and_starts_quickly() -> None:
    assert SHIPPED.stat().st_size < 300_000
    code = (
        "import numpy, msgspec, re, time; t = time.perf_counter();"
        "import penstock.routing.complexity.estimate; print(time.perf_counter() - t);"
        "import sys; assert 'sklearn' not in sys.modules and 'scipy' not in sys.modules"
    )
    took = min(float(subprocess.check_output([sys.executable, "-c", code], text=True)) for _ in range(3))
    assert took < 0.2


def _timed(estimator: Estimator, text: str) -> float:
    began = time.perf_counter()
    estimator(text)
    return time.perf_counter() - began
