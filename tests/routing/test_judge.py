"""How hard a question is: the threshold that follows what comes, and what may be kept of a text."""

from __future__ import annotations

import asyncio
import random

import pytest

from penstock.core.generation import Generation, Message
from penstock.core.request import Request
from penstock.routing.complexity.estimate import Estimator
from penstock.routing.complexity.threshold import ENOUGH, Threshold
from penstock.routing.judge import Judge
from penstock.routing.signals import UNJUDGED


@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
@pytest.mark.parametrize("centre", [0.3, 0.9])
def test_the_share_that_was_asked_for_is_met_whatever_comes(share: float, centre: float) -> None:
    rng, threshold, strong = random.Random(1), Threshold(0.6, share), 0
    for number in range(4000):
        easy = min(1.0, max(0.0, rng.gauss(centre, 0.1)))
        strong += number >= ENOUGH and easy < threshold.value
        threshold.saw(easy, True)
    assert strong / (4000 - ENOUGH) == pytest.approx(share, abs=0.05)


def test_what_is_not_known_counts_for_the_share() -> None:
    threshold = Threshold(0.5, 0.5)
    for number in range(1000):
        threshold.saw(0.9, number % 2 == 0)
    assert threshold.value == 0.9


@pytest.mark.parametrize(("share", "value"), [(0.0, 0.2), (1.0, float("inf"))])
def test_nobody_and_everybody(share: float, value: float) -> None:
    threshold = Threshold(0.5, share)
    for _ in range(ENOUGH + 50):
        threshold.saw(0.2, True)
    assert threshold.value == value


def test_few_questions_change_nothing() -> None:
    threshold = Threshold(0.5, 0.5)
    for _ in range(ENOUGH - 1):
        threshold.saw(0.1, True)
    assert threshold.value == 0.5


def ask(text: str) -> Request:
    return Request("1", "route", Generation(messages=(Message("user", text),)))


def test_a_judge_looks_at_what_the_user_said_last_and_keeps_no_words() -> None:
    judge = Judge(Estimator.load(), Threshold(0.5, 0.5))
    judged = asyncio.run(judge(ask("What is the capital of France?")))
    assert judged.easy is not None
    assert 0 < judged.easy < 1
    assert asyncio.run(judge(Request("1", "route", Generation(prompt=(1, 2, 3))))) == UNJUDGED
    logged = judge.logged(ask("My password is hunter2, is it safe?"))
    assert logged
    assert "hunter2" not in logged
