"""Policies put candidates in order, and say why."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest

from penstock.routing.policies.contract import Candidate, Decision, Policy, Signals
from penstock.routing.policies.goals import Complexity, Cost, Latency
from penstock.routing.policies.plain import First, LeastBusy, Weighted

SMALL = Candidate("small", quality=0.3, cost=0.001, latency_s=0.5, weight=3.0, busy=0.9)
MIDDLE = Candidate("middle", quality=0.6, cost=0.01, latency_s=1.0, weight=1.0, busy=0.2)
STRONG = Candidate("strong", quality=0.9, cost=0.1, latency_s=4.0, weight=0.0, busy=0.5)
ALL = (SMALL, MIDDLE, STRONG)


def chosen(policy: Policy, candidates: tuple[Candidate, ...] = ALL, seed: int = 0, **signals: object) -> Decision:
    return policy.choose(Signals(**signals), candidates, random.Random(seed))  # type: ignore[arg-type]


def names(decision: Decision) -> list[str]:
    return [candidate.name for candidate in decision.order]


@pytest.mark.parametrize("policy", [First(), Weighted(), LeastBusy(), Latency(1.0), Cost(), Complexity(0.5)])
def test_everybody_is_in_every_order_once_and_the_reason_is_ascii(policy: Policy) -> None:
    for seed in range(50):
        decision = chosen(policy, seed=seed, easy=0.7)
        assert sorted(names(decision)) == ["middle", "small", "strong"]
        assert decision.why.isascii()
        assert decision.why


def test_weights_are_shares_and_none_is_a_last_resort() -> None:
    first = Counter(names(chosen(Weighted(), seed=seed))[0] for seed in range(4000))
    assert first["strong"] == 0
    assert 0.72 < first["small"] / 4000 < 0.78


def test_a_session_always_draws_the_same() -> None:
    for session in "abcdefgh":
        assert len({tuple(names(chosen(Weighted(), seed=seed, session=session))) for seed in range(20)}) == 1


def test_the_least_busy_comes_first() -> None:
    assert names(chosen(LeastBusy())) == ["middle", "strong", "small"]


def test_a_latency_target_is_met_at_the_least_cost() -> None:
    assert names(chosen(Latency(2.0)))[0] == "small"
    slow = Candidate("slow and cheap", cost=0.0, latency_s=9.0)
    assert names(chosen(Latency(2.0), (slow, *ALL)))[0] == "small"
    assert names(chosen(Latency(0.1)))[0] == "small"
    assert names(chosen(Latency(2.0), max_latency_s=10.0, candidates=(slow, *ALL)))[0] == "slow and cheap"


def test_who_was_never_measured_is_tried_by_a_few() -> None:
    new = Candidate("new", cost=9.0)
    first = Counter(names(chosen(Latency(2.0), (SMALL, new), seed=seed))[0] for seed in range(5000))
    assert 50 < first["new"] < 200
    assert names(chosen(Latency(2.0), (new,)))[0] == "new"


def test_a_budget_buys_the_best_it_can() -> None:
    assert names(chosen(Cost(0.02)))[0] == "middle"
    assert names(chosen(Cost(0.02), budget=1.0))[0] == "strong"
    assert names(chosen(Cost(), budget=0.0001))[0] == "small"
    assert names(chosen(Cost(), quality=0.5))[0] == "middle"
    assert names(chosen(Cost(0.02), quality=0.8))[0] == "middle"


def test_easy_goes_to_the_small_one_and_the_unknown_to_the_strong_one() -> None:
    policy = Complexity(0.6)
    assert names(chosen(policy, easy=0.9))[0] == "small"
    assert names(chosen(policy, easy=0.3))[0] == "strong"
    assert names(chosen(policy))[0] == "strong"
    assert names(chosen(policy, easy=0.9, sure=False))[0] == "strong"
    assert names(chosen(policy, easy=0.9, quality=0.8))[0] == "strong"


def test_a_session_moves_up_and_never_down() -> None:
    assert names(chosen(Complexity(0.6), easy=0.99, floor=0.9))[0] == "strong"
    assert names(chosen(Cost(), floor=0.9, quality=0.1))[0] == "strong"


@pytest.mark.parametrize("unpriced", ["small", "strong"])
def test_complexity_without_all_prices_goes_by_quality(unpriced: str) -> None:
    candidates = [
        Candidate(name, quality=quality, cost=math.inf if name == unpriced else 1.0)
        for name, quality in (("strong", 0.9), ("small", 0.2))
    ]
    for easy, name in ((0.99, "small"), (0.01, "strong")):
        decision = Complexity(0.6).choose(Signals(easy=easy), candidates, random.Random(0))
        assert decision.order[0].name == name
