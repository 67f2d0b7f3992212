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
@pytest.mark.parametrize("centre", [0.45, 0.9])
def test_the_share_that_was_asked_for_is_met_whatever_comes(share: float, centre: float) -> None:
    rng, threshold, strong = random.Random(1), Threshold(0.6, share), 0
    for number in range(4000):
        easy = min(1.0, max(0.0, rng.gauss(centre, 0.1)))
        strong += number >= ENOUGH and easy < threshold.of("ours")
        threshold.saw("ours", easy, True)
    assert strong / (4000 - ENOUGH) == pytest.approx(share, abs=0.05)


@pytest.mark.parametrize("unknown", [0.1, 0.3])
def test_what_is_not_known_counts_for_the_share(unknown: float) -> None:
    rng, threshold, strong = random.Random(1), Threshold(0.5, 0.5), 0
    for number in range(4000):
        easy, sure = rng.uniform(0.4, 0.9), rng.random() >= unknown
        strong += number >= ENOUGH and (not sure or easy < threshold.of("ours"))
        threshold.saw("ours", easy, sure)
    assert strong / (4000 - ENOUGH) == pytest.approx(0.5, abs=0.05)


def test_however_much_is_not_known_hard_questions_go_to_the_strong_model() -> None:
    rng, threshold, strong, known = random.Random(1), Threshold(0.5, 0.4), 0, 0
    for number in range(8000):
        easy, sure = rng.uniform(0.4, 0.9), rng.random() < 0.2
        if number >= ENOUGH and sure:
            known += 1
            strong += easy < threshold.of("ours")
        threshold.saw("ours", easy, sure)
    assert strong / known == pytest.approx(0.2, abs=0.06), "half of the share, of those that are known"


def test_with_nothing_known_the_calibration_holds() -> None:
    threshold = Threshold(0.5, 0.5)
    for _ in range(1000):
        threshold.saw("ours", 0.1, False)
    assert threshold.of("ours") == 0.5


@pytest.mark.parametrize(("easy", "sure"), [(0.0, False), (0.0, True), (1.0, True)])
def test_no_tenant_decides_who_answers_another(easy: float, sure: bool) -> None:
    rng, threshold = random.Random(1), Threshold(0.8, 0.5)
    for _ in range(2000):
        threshold.saw("victim", rng.uniform(0.6, 0.9), True)
    before = threshold.of("victim")
    for _ in range(2000):
        threshold.saw("attacker", easy, sure)
    assert (threshold.of("victim"), threshold.of("newcomer")) == (before, 0.8)


def test_whoever_asks_only_the_hardest_moves_it_so_far_and_no_further() -> None:
    threshold = Threshold(0.8, 0.5)
    for _ in range(2000):
        threshold.saw("ours", 0.0, True)
    assert threshold.of("ours") == 0.4


def test_the_longest_silent_tenants_make_room() -> None:
    threshold = Threshold(0.5, 0.5, tenants=2)
    for tenant in ("a", "b"):
        for _ in range(ENOUGH + 50):
            threshold.saw(tenant, 0.9, True)
    threshold.saw("a", 0.9, True)
    threshold.saw("c", 0.9, True)
    assert [threshold.of(tenant) for tenant in "abc"] == [0.9, 0.5, 0.5]


@pytest.mark.parametrize(("share", "value"), [(0.0, 0.3), (1.0, float("inf"))])
def test_nobody_and_everybody(share: float, value: float) -> None:
    threshold = Threshold(0.5, share)
    for _ in range(ENOUGH + 50):
        threshold.saw(None, 0.3, True)
    assert threshold.of(None) == value


def test_few_questions_change_nothing() -> None:
    threshold = Threshold(0.5, 0.5)
    for _ in range(ENOUGH - 1):
        threshold.saw("ours", 0.1, True)
    assert threshold.of("ours") == 0.5


def ask(text: str, tenant: str | None = None) -> Request:
    return Request("1", "route", Generation(messages=(Message("user", text),)), tenant=tenant)


def test_a_judge_tells_tenants_apart() -> None:
    judge = Judge(Estimator.load(), Threshold(0.8, 0.5))
    for _ in range(ENOUGH + 50):
        asyncio.run(judge(ask("What is the capital of France?", "attacker")))
    easy = judge.threshold.of("attacker")
    assert easy > 0.8
    assert asyncio.run(judge(ask("Why?", "attacker"))).threshold == easy
    assert asyncio.run(judge(ask("Why?", "victim"))).threshold == 0.8


def test_a_judge_looks_at_what_the_user_said_last_and_keeps_no_words() -> None:
    judge = Judge(Estimator.load(), Threshold(0.5, 0.5))
    judged = asyncio.run(judge(ask("What is the capital of France?")))
    assert judged.easy is not None
    assert 0 < judged.easy < 1
    assert asyncio.run(judge(Request("1", "route", Generation(prompt=(1, 2, 3))))) == UNJUDGED
    logged = judge.logged(ask("My password is hunter2, is it safe?"))
    assert logged
    assert "hunter2" not in logged
