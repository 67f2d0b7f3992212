"""Adaptive concurrency: the bound follows how long requests take, and counts every request exactly once."""

from __future__ import annotations

import asyncio
import heapq
import random

import pytest

from penstock.admission.concurrency import AdaptiveConcurrency
from penstock.admission.gradient import Gradient
from penstock.admission.settings import AdaptiveSettings
from penstock.core.clock import StillClock
from penstock.core.errors import BadInput, DeadlineExceeded, ModelFailed, Overloaded
from penstock.core.generation import Generated, Generation, Usage
from penstock.core.reply import Meta, Reply
from penstock.core.request import Request
from tests.admission.accounting import Downstream, question, rows, run

OWN = AdaptiveSettings(initial=4, least=2, most=100)


class Step:
    """The step over a next one that the test steers."""

    def __init__(self, settings: AdaptiveSettings = OWN, inner: tuple[str, ...] = ()):
        self.clock, self.downstream = StillClock(10.0), Downstream()
        self.step = AdaptiveConcurrency(self.downstream, settings, self.clock, inner)

    def ask(self, request: Request | None = None) -> Reply:
        return run(self.step(request or rows(1)))


def fill(step: Step, model: str = "iris") -> list[Reply]:
    """Asks until it is full."""
    replies: list[Reply] = []
    while True:
        try:
            replies.append(step.ask(rows(1, model=model)))
        except Overloaded:
            return replies


def test_over_the_bound_requests_are_turned_away_at_once() -> None:
    step = Step()
    replies = fill(step)
    assert len(replies) == 4
    replies[0].settle({})
    step.ask()


@pytest.mark.parametrize("end", [None, ModelFailed("no"), DeadlineExceeded("late"), {}])
def test_every_end_frees_one_place(end: object) -> None:
    step = Step()
    for reply in fill(step):
        reply.close() if end is None else reply.settle(end)  # type: ignore[arg-type]
    assert step.step.bounds["iris"].in_flight == 0


def test_models_have_bounds_of_their_own_and_names_that_nobody_serves_have_none() -> None:
    step = Step()
    fill(step)
    step.ask(rows(1, model="other"))
    step.downstream.error = BadInput("no such model")
    for number in range(10):
        with pytest.raises(BadInput):
            step.ask(rows(1, model=f"made-up-{number}"))
    assert set(step.step.bounds) == {"iris", "other"}


def test_those_that_wait_further_down_count_too() -> None:
    async def through() -> None:
        async def slow(request: Request) -> Reply:
            await asyncio.sleep(10)
            return Reply(Meta())

        step = AdaptiveConcurrency(slow, AdaptiveSettings(initial=2, least=2))
        asked = [asyncio.ensure_future(step(rows(1))) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await asked[2]
        for task in asked[:2]:
            task.cancel()
        await asyncio.wait(asked)
        assert not step.bounds, "nobody has taken one"

    asyncio.run(through())


def test_versions_share_a_bound() -> None:
    step = Step()
    fill(step)
    with pytest.raises(Overloaded):
        step.ask(rows(1, model="iris@2"))


def test_models_that_others_need_and_counting_pass() -> None:
    step = Step(inner=("iris",))
    for _ in range(50):
        step.ask()
    for _ in range(50):
        step.ask(Request("1", "chat", Generation(prompt="a", count_only=True)))


def test_generated_text_is_judged_by_its_first_token() -> None:
    step = Step()
    for _ in range(20):
        reply = step.ask(question())
        step.clock.advance(60)
        reply.meta.first_s = 0.2
        reply.settle({})
    assert step.step.bounds["chat"].usual_s == pytest.approx(0.2)


def test_text_that_comes_in_one_piece_says_nothing_of_its_first_token() -> None:
    step = Step()
    for _ in range(20):
        reply = step.ask(question())
        step.clock.advance(60)
        reply.settle(Generated(Usage(10, 0, 1000)))
    assert step.step.bounds["chat"].usual_s == 0.0


def test_what_is_turned_away_further_down_lowers_the_bound() -> None:
    step = Step(AdaptiveSettings(initial=50, least=2))
    step.ask()
    before = step.step.bounds["iris"].limit
    step.downstream.error = Overloaded("full")
    for _ in range(100):
        with pytest.raises(Overloaded):
            step.ask()
    after = step.step.bounds["iris"].limit
    assert before * 0.85 < after < before, "once for all that come together"


def test_a_bound_that_is_not_used_does_not_rise() -> None:
    gradient = Gradient(OWN)
    for number in range(1000):
        gradient.in_flight = 1
        gradient.took(0.01, number * 0.1)
    assert gradient.limit == OWN.initial


def served(offered: float, seconds: float, settings: AdaptiveSettings, seed: int = 1) -> tuple[Gradient, list[float]]:
    """A model of 8 places at 10 ms, 800 requests a second at most: the bound, and the times of the second half."""
    rng, gradient = random.Random(seed), Gradient(settings)
    free, running, times, now = [0.0] * 8, [], [], 0.0
    heapq.heapify(free)
    while now < seconds:
        now += rng.expovariate(offered)
        while running and running[0][0] <= now:
            done, took = heapq.heappop(running)
            gradient.took(took, done)
            gradient.in_flight -= 1
            if now > seconds / 2:
                times.append(took)
        if gradient.in_flight < gradient.limit:
            done = max(now, heapq.heappop(free)) + rng.uniform(0.009, 0.011)
            heapq.heappush(free, done)
            heapq.heappush(running, (done, done - now))
            gradient.in_flight += 1
    return gradient, sorted(times)


def test_overload_does_not_become_waiting() -> None:
    _, open_ = served(1200, 10, AdaptiveSettings(initial=4000, least=4000))
    gradient, bounded = served(1200, 120, AdaptiveSettings(initial=4, least=2, most=1000))
    assert open_[len(open_) // 2] > 1.0, "without a bound requests wait for seconds"
    assert bounded[int(len(bounded) * 0.99)] < 0.1
    assert 8 <= gradient.limit < 40, "and overload that lasts does not become what is usual"
    assert len(bounded) > 0.9 * 800 * 60, "and the model stays busy"


def test_a_load_that_the_model_can_take_is_let_in() -> None:
    gradient, times = served(600, 30, AdaptiveSettings(initial=64, least=8))
    assert gradient.limit >= 8
    assert len(times) > 0.98 * 600 * 15
