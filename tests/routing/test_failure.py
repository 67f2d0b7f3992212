"""Breakers, the retry budget, chains and ladders: pure decisions about failures and overload."""

from __future__ import annotations

import random

from penstock.core.deadline import NEVER
from penstock.core.errors import (
    BadInput,
    ContextExceeded,
    DeadlineExceeded,
    Overloaded,
    PenstockError,
    ProviderFailed,
    RequestRefused,
    Unavailable,
)
from penstock.routing.failure.breaker import Breaker, BreakerSettings
from penstock.routing.failure.budget import RetryBudget, RetrySettings
from penstock.routing.failure.chain import Chain, GiveUp, Try
from penstock.routing.failure.ladder import Ladder, LadderSettings


def ejected(settings: BreakerSettings | None = None) -> Breaker:
    breaker = Breaker(settings or BreakerSettings())
    for _ in range(5):
        assert not breaker.ejected(0.0)
        breaker.failed(0.0)
    assert breaker.ejected(0.0)
    return breaker


def test_five_failures_in_a_row_eject_for_longer_each_time() -> None:
    breaker, now = ejected(), 0.0
    for times in range(1, 13):
        seconds = min(30.0 * times, 300.0)
        assert breaker.ejected(now + seconds - 0.01)
        now += seconds
        assert not breaker.ejected(now)
        breaker.asked(now)
        breaker.failed(now)


def test_who_was_out_is_tried_by_one_request_at_a_time() -> None:
    breaker = ejected()
    assert not breaker.may_probe(29.0)
    assert not breaker.ejected(30.0)
    breaker.asked(30.0)
    assert breaker.ejected(30.1)
    breaker.abandoned()
    assert not breaker.ejected(30.2)
    breaker.asked(30.3)
    breaker.succeeded()
    for _ in range(4):
        breaker.asked(31.0)
        breaker.failed(31.0)
    assert not breaker.ejected(31.0)


def test_failures_of_requests_that_were_on_their_way_are_one_ejection() -> None:
    breaker = ejected()
    for _ in range(500):
        breaker.failed(0.1)
    assert not breaker.ejected(30.0)


def test_an_answer_in_between_forgives() -> None:
    breaker = Breaker(BreakerSettings())
    for _ in range(20):
        for _ in range(4):
            breaker.failed(0.0)
        breaker.succeeded()
    assert not breaker.ejected(0.0)


def test_who_was_away_for_hours_is_back_within_the_time_of_a_probe() -> None:
    breaker = Breaker(BreakerSettings())
    now = 0.0
    while now < 7200:
        if not breaker.ejected(now) or breaker.may_probe(now):
            breaker.asked(now)
            assert not breaker.may_probe(now)
            breaker.failed(now)
        now += 1.0
    came_back = now
    while breaker.on_trial:
        if not breaker.ejected(now) or breaker.may_probe(now):
            breaker.asked(now)
            breaker.succeeded()
        now += 1.0
    assert now - came_back <= 31


def test_retry_after_is_honoured() -> None:
    breaker = Breaker(BreakerSettings())
    breaker.failed(0.0, retry_after_s=7.0)
    assert breaker.ejected(6.9)
    assert not breaker.ejected(7.0)


def test_the_retry_budget_is_a_share_of_what_is_under_way() -> None:
    budget = RetryBudget(RetrySettings())
    assert [budget.take() for _ in range(5)] == [True, True, True, False, False]
    budget.active = 50
    assert [budget.take() for _ in range(8)] == [True] * 7 + [False]
    for _ in range(10):
        budget.give()
    assert budget.retrying == 0
    pauses = [budget.pause(retry, random.Random(seed)) for retry in range(12) for seed in range(50)]
    assert min(pauses) >= 0
    assert max(pauses) <= 2.0


def chain(*targets: str, deadline: float = NEVER, budget: RetryBudget | None = None) -> Chain:
    return Chain(targets, budget or RetryBudget(RetrySettings()), deadline=deadline, rng=random.Random(0))


def way(made: Chain, *errors: PenstockError) -> list[str]:
    """Who is asked when they fail so one after the other; the last word is the error that is told."""
    step: Try | GiveUp = made.begin(0.0)
    asked, now = [], 0.0
    for error in errors:
        assert isinstance(step, Try)
        asked.append(step.target)
        now = max(now, step.at)
        step = made.failed(error, now)
    asked.append(step.error.code if isinstance(step, GiveUp) else f"then {step.target}")
    return asked


def test_a_fault_is_tried_again_then_elsewhere() -> None:
    down = ProviderFailed("down")
    assert way(chain("a", "b"), down, down, down) == ["a", "a", "b", "then b"]
    assert way(chain("a"), down, down) == ["a", "a", "provider_failed"]


def test_a_wrong_request_is_wrong_everywhere_but_one_that_is_too_long() -> None:
    assert way(chain("a", "b"), BadInput("wrong")) == ["a", "bad_input"]
    assert way(chain("a", "b"), RequestRefused("deadly")) == ["a", "request_refused"]
    assert way(chain("a", "b"), ContextExceeded("long")) == ["a", "then b"]


def test_without_budget_the_next_one_is_asked_at_once() -> None:
    budget = RetryBudget(RetrySettings(least=0))
    assert way(chain("a", "b", budget=budget), Overloaded("full")) == ["a", "then b"]


def test_one_deadline_for_the_whole_chain() -> None:
    made = chain("a", "b", "c", deadline=1.0)
    made.begin(0.0)
    step = made.failed(ProviderFailed("down"), 0.999)
    assert isinstance(step, GiveUp)
    assert isinstance(step.error, DeadlineExceeded)


def test_nobody_waits_longer_than_the_deadline_for_a_retry() -> None:
    made = chain("a", deadline=5.0)
    made.begin(0.0)
    step = made.failed(Unavailable("later", retry_after_s=60), 0.0)
    assert isinstance(step, GiveUp)


def test_a_chain_gives_its_retry_back() -> None:
    budget = RetryBudget(RetrySettings())
    made = chain("a", budget=budget)
    made.begin(0.0)
    made.failed(ProviderFailed("down"), 0.0)
    assert budget.retrying == 1
    made.done()
    made.done()
    assert budget.retrying == 0


LADDER = LadderSettings(steps=("small", "cached", "refuse"))


def test_a_standing_queue_leads_down_step_by_step_and_calm_up_again() -> None:
    ladder = Ladder(LADDER)
    steps = [ladder.waited(1.0, at / 10) for at in range(40)]
    assert steps[0] == 0
    assert steps == sorted(steps)
    assert steps[-1] == 3
    quiet = [ladder.waited(0.01, 4.0 + at / 10) for at in range(200)]
    assert quiet == sorted(quiet, reverse=True)
    assert quiet[-1] == 0
    assert quiet[45] == 3


def test_a_burst_does_not_lead_down() -> None:
    ladder = Ladder(LADDER)
    assert max(ladder.waited(2.0 if at % 4 else 0.0, at / 10) for at in range(100)) == 0


def test_in_between_nothing_changes() -> None:
    ladder = Ladder(LADDER)
    for at in range(8):
        ladder.waited(1.0, at / 10)
    step = ladder.step
    assert step > 0
    assert {ladder.waited(0.3, 0.8 + at / 10) for at in range(300)} == {step}


def test_without_anybody_who_waits_calm_returns() -> None:
    ladder = Ladder(LADDER)
    for at in range(40):
        ladder.waited(1.0, at / 10)
    assert ladder.step == 3
    assert [ladder.at(4.0 + seconds) for seconds in range(0, 40, 2)][-1] == 0
