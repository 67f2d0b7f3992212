"""Rates, by the generic cell rate algorithm, and what a request is expected to take."""

from __future__ import annotations

import random

import numpy as np
import pytest

from penstock.admission.limits.claim import Usual, prompt_size
from penstock.admission.limits.rate import Rate
from penstock.core.generation import Generation, Message
from penstock.core.request import Request
from penstock.core.tensors import Tensor
from tests.admission.accounting import question


def test_a_burst_then_one_per_interval() -> None:
    rate = Rate(60, burst_s=3)
    for _ in range(3):
        assert rate.wait(1, 100.0) == 0
        rate.take(1, 100.0)
    assert rate.wait(1, 100.0) == pytest.approx(1.0)
    assert rate.wait(1, 101.0) == 0
    assert rate.remaining(101.0) == pytest.approx(1.0)
    assert rate.reset_s(101.0) == pytest.approx(2.0)


def test_a_pause_does_not_save_up_more_than_the_burst() -> None:
    rate = Rate(60, burst_s=5)
    assert rate.remaining(1_000_000.0) == pytest.approx(5)


def test_at_least_one_unit_fits_however_short_the_burst() -> None:
    rate = Rate(1, burst_s=1)
    assert rate.wait(1, 10.0) == 0
    rate.take(1, 10.0)
    assert rate.wait(1, 10.0) == pytest.approx(60)


@pytest.mark.parametrize("seed", range(20))
def test_never_more_than_the_rate_and_one_burst(seed: int) -> None:
    random_ = random.Random(seed)
    rate = Rate(per_minute := random_.uniform(1, 6000), burst_s := random_.uniform(0.1, 120))
    now = begin = random_.uniform(0, 1e6)
    taken = 0.0
    for _ in range(500):
        now += random_.expovariate(per_minute / 60)
        amount = random_.uniform(0.1, 3)
        if not rate.wait(amount, now):
            rate.take(amount, now)
            taken += amount
        assert taken <= (now - begin) * per_minute / 60 + max(burst_s * per_minute / 60, 1) + 1e-2


def test_who_waits_as_told_comes_in() -> None:
    rate = Rate(100, burst_s=7)
    now = 5.0
    for _ in range(100):
        now += rate.wait(3, now)
        assert rate.wait(3, now) == 0
        rate.take(3, now)


def test_a_correction_equals_having_known() -> None:
    guessed, known = Rate(600, 30), Rate(600, 30)
    guessed.take(100, 10.0)
    known.take(40, 10.0)
    guessed.correct(-60, 11.0)
    assert guessed.wait(270, 11.0) == pytest.approx(known.wait(270, 11.0))
    guessed.correct(500, 12.0)
    assert guessed.wait(0, 12.0) > 0, "what was used beyond the burst is paid back"


def test_an_estimate_learns_prompts_answers_and_costs() -> None:
    usual, request = Usual(), question("x" * 1000)
    first = usual.claim(request)
    for _ in range(100):
        usual.learn(request, prompt=200, answer=50, cost=0.25)
    learned = usual.claim(request)
    assert first.prompt > 250
    assert learned.prompt == pytest.approx(200, rel=0.05)
    assert learned.answer == pytest.approx(50, rel=0.05)
    assert learned.cost == pytest.approx(0.25)


def test_an_answer_is_not_expected_to_be_longer_than_it_may_be() -> None:
    assert Usual().claim(question(max_tokens=5)).answer == 5


def test_exact_ids_are_counted_exactly_and_counting_alone_costs_nothing() -> None:
    ids = Generation(prompt=(1, 2, 3))
    assert Usual().claim(Request("1", "m", ids)).prompt == 3
    assert Usual().claim(Request("1", "m", Generation(prompt="long " * 100, count_only=True))).tokens == 0


def test_other_scripts_take_more_tokens_per_character() -> None:
    latin, chinese = ("a" * 100, "字" * 100)
    assert prompt_size(Generation(messages=(Message("user", chinese),))) > 2 * prompt_size(
        Generation(messages=(Message("user", latin),))
    )


def test_texts_for_a_predictive_model_count_and_numbers_do_not() -> None:
    texts = {"text": Tensor("BYTES", np.array([b"a" * 100, b"b" * 100], object))}
    assert Usual().claim(Request("1", "m", texts)).prompt == pytest.approx(60)
    assert Usual().claim(Request("1", "m", {"x": Tensor("FP32", np.zeros((2, 3), np.float32))})).tokens == 0
