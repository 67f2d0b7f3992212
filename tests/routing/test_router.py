"""Routes over scripted models: who answers, what is told, and that everything is settled once."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Coroutine
from typing import Any

import pytest

from penstock.core.errors import (
    BadInput,
    Cancelled,
    DeadlineExceeded,
    Overloaded,
    PenstockError,
    ProviderFailed,
    Unavailable,
)
from penstock.core.generation import Generated, Text
from penstock.core.reply import Reply
from penstock.core.request import Hints
from penstock.routing.complexity.threshold import Threshold
from penstock.routing.failure.breaker import BreakerSettings
from penstock.routing.failure.budget import RetryBudget, RetrySettings
from penstock.routing.failure.ladder import LadderSettings
from penstock.routing.judge import Judge
from penstock.routing.pool import Pool
from penstock.routing.route import Route
from penstock.routing.router import Router
from penstock.routing.rules import Rule
from penstock.routing.settings import CeilingSettings, RouteSettings, RuleSettings
from tests.routing.backends import Backend, Backends, question

DOWN = ProviderFailed("down")


def router(
    *backends: Backend,
    rule: Rule | None = None,
    judge: Judge | None = None,
    costs: dict[str, float] | None = None,
    **settings: Any,
) -> Router:
    models = Backends(backends)
    pool = Pool(BreakerSettings())
    chosen = RouteSettings(models=settings.pop("models", tuple(models.by_name)), **settings)
    route = Route("route", chosen, models, pool, lambda name, *_: (costs or {}).get(name, 0.0), rule=rule, judge=judge)
    budget = RetryBudget(RetrySettings(backoff_ms=1))
    return Router(models, {"route": route}, pool, budget, rng=random.Random(0))


def run(work: Coroutine[Any, Any, Any]) -> Any:
    async def limited() -> Any:
        async with asyncio.timeout(20):
            return await work

    return asyncio.run(limited())


async def said(reply: Reply) -> str:
    return "".join([event.text async for event in reply if isinstance(event, Text)])


async def ask(made: Router, **more: Any) -> tuple[str, Reply]:
    reply = await made(question(**more))
    return await said(reply), reply


def test_the_first_answers_and_the_reply_says_so() -> None:
    made = router(Backend("a", ["from a"]), Backend("b"))
    text, reply = run(ask(made))
    meta = reply.meta
    assert (text, meta.model, meta.route, meta.tries, meta.why) == ("from a", "a", "route", 1, "first in order")
    assert isinstance(reply.outcome, Generated)
    assert (made.budget.active, made.budget.retrying) == (0, 0)


@pytest.mark.parametrize("broken", [Backend("a", refuses=DOWN), Backend("a", [DOWN]), Backend("a", [0.01, DOWN])])
def test_a_fault_before_the_first_word_is_not_seen(broken: Backend) -> None:
    made = router(broken, Backend("b", ["from b"]))
    text, reply = run(ask(made))
    assert (text, reply.meta.model, reply.meta.tries) == ("from b", "b", 3)
    assert broken.asked == 2


def test_a_fault_after_the_first_word_is_told_and_nothing_is_said_twice() -> None:
    other = Backend("b")
    made = router(Backend("a", ["half an ", DOWN]), other)

    async def halves() -> None:
        reply = await made(question())
        got: list[str] = []

        async def read() -> None:
            async for event in reply:
                got.extend([event.text] if isinstance(event, Text) else [])

        with pytest.raises(ProviderFailed):
            await read()
        assert got == ["half an "]

    run(halves())
    assert other.asked == 0
    assert made.budget.active == 0


def test_all_down_is_one_error() -> None:
    made = router(*(Backend(name, refuses=DOWN) for name in "abc"))
    with pytest.raises(PenstockError) as told:
        run(ask(made))
    assert told.value.status == 503


def test_a_wrong_request_is_told_at_once() -> None:
    other = Backend("b")
    made = router(Backend("a", refuses=BadInput("wrong")), other)
    with pytest.raises(BadInput, match="wrong"):
        run(ask(made))
    assert other.asked == 0


def test_fallbacks_come_after_the_routes_own_models() -> None:
    backends = [Backend("a", refuses=DOWN), Backend("b", refuses=DOWN), Backend("small", ["small talk"])]
    made = router(*backends, models=("a", "b"), fallback=("small", "rule"))
    assert run(ask(made))[0] == "small talk"


def test_a_rule_answers_when_nobody_does() -> None:
    rule = Rule(RuleSettings(text="We are closed."))
    made = router(Backend("a", refuses=DOWN), fallback=("rule",), rule=rule)
    text, reply = run(ask(made))
    assert (text, reply.meta.model) == ("We are closed.", "rule")


def test_whoever_leaves_takes_his_place_along() -> None:
    slow = Backend("a", ["hello", 60.0])
    made = router(slow, Backend("b"))

    async def leaves() -> None:
        reply = await made(question())
        await reply.began()
        reply.close()
        await asyncio.sleep(0.01)
        assert isinstance(reply.outcome, Cancelled)

    run(leaves())
    assert (slow.closed, slow.live) == (1, 0)
    assert made.budget.active == 0
    assert made.pool.of("a").in_flight == 0


def test_an_ejected_model_is_passed_by_and_comes_back() -> None:
    primary = Backend("a", refuses=DOWN)
    made = router(primary, Backend("b", ["from b"]))
    for _ in range(10):
        assert run(ask(made))[0] == "from b"
    before = primary.asked
    for _ in range(10):
        text, reply = run(ask(made))
        assert (text, reply.meta.fallback, reply.meta.tries) == ("from b", True, 1)
    assert primary.asked == before
    primary.refuses = None
    made.pool.of("a").breaker.next_probe = 0.0
    text, reply = run(ask(made))
    assert (text, reply.meta.why) == ("hello", "tries whether a is back")
    assert not made.pool.of("a").breaker.ejected(1e18)


def test_a_pin_is_obeyed_and_never_replaced() -> None:
    made = router(Backend("a"), Backend("b", refuses=Unavailable("down")))
    assert run(ask(made, hints=Hints(pin="a")))[1].meta.why == "pinned by the request"
    with pytest.raises(Unavailable):
        run(ask(made, hints=Hints(pin="b")))
    with pytest.raises(BadInput, match="has no model 'c'"):
        run(ask(made, hints=Hints(pin="c")))


def test_what_is_no_route_passes() -> None:
    made = router(Backend("a"))

    async def direct() -> str:
        request = question()
        request.model = "a"
        reply = await made(request)
        assert reply.meta.route == ""
        return await said(reply)

    assert run(direct()) == "hello"


def test_a_silent_model_is_given_up_when_patience_ends() -> None:
    silent = Backend("a", [60.0])
    made = router(silent, Backend("b", ["from b"]), patience_ms=20)
    text, reply = run(ask(made))
    assert (text, reply.meta.model) == ("from b", "b")
    assert reply.meta.why == "fallback: a answered provider_silent"
    assert (silent.live, made.pool.of("a").in_flight, made.pool.of("a").failures) == (0, 0, 1)


def test_the_last_model_is_waited_for() -> None:
    made = router(Backend("a", [0.1, "slow"]), patience_ms=20)
    assert run(ask(made))[0] == "slow"


def test_a_hedge_asks_the_second_and_the_faster_answers() -> None:
    slow = Backend("a", [30.0, "slow"])
    made = router(slow, Backend("b", ["from b", " whole"]), hedge_ms=20)
    text, reply = run(ask(made))
    assert (text, reply.meta.model, reply.meta.why) == ("from b whole", "b", "hedge: a was slow")
    assert (slow.closed, slow.live, made.pool.of("a").in_flight) == (1, 0, 0)


def test_a_hedge_lets_the_first_win_when_it_speaks_first() -> None:
    other = Backend("b", [30.0, "from b"])
    made = router(Backend("a", [0.1, "from a"]), other, hedge_ms=20)
    assert run(ask(made))[0] == "from a"
    assert (other.asked, other.live) == (1, 0)


@pytest.mark.parametrize("second", [Backend("b", refuses=DOWN), Backend("b", [0.01, DOWN])])
def test_a_hedge_of_two_that_fail_ends_once(second: Backend) -> None:
    made = router(Backend("a", [0.05, DOWN]), second, hedge_ms=10)
    with pytest.raises(Unavailable, match="none of this route's 2 models"):
        run(ask(made))
    assert all(member.in_flight == 0 for member in made.pool)


def test_a_hedge_that_is_left_leaves_both() -> None:
    both = [Backend("a", [30.0]), Backend("b", [30.0])]
    made = router(*both, hedge_ms=10)

    async def leaves() -> None:
        reply = await made(question())
        await asyncio.sleep(0.05)
        assert [backend.live for backend in both] == [1, 1]
        reply.close()

    run(leaves())
    assert [backend.live for backend in both] == [0, 0]
    assert all(member.in_flight == 0 for member in made.pool)


def test_who_is_busy_is_passed_by_and_not_put_out() -> None:
    made = router(Backend("a", refuses=Overloaded("full")), Backend("b", ["from b"]))
    for _ in range(20):
        assert run(ask(made))[0] == "from b"
    assert not made.pool.of("a").breaker.on_trial


def test_a_busy_model_without_others_says_so_at_once() -> None:
    made = router(Backend("a", refuses=Overloaded("full")))
    with pytest.raises(Overloaded, match="full"):
        run(ask(made))


def test_the_ladder_is_announced_and_left() -> None:
    ladder = LadderSettings(steps=("small", "rule"), window_ms=10, hold_s=0.05, enter_ms=50, leave_ms=10)
    big, rule = Backend("big", refuses=Overloaded("full")), Rule(RuleSettings(text="Later."))
    small = Backend("small", ["short"])
    made = router(big, small, models=("big",), fallback=("small",), ladder=ladder, rule=rule)

    async def overloaded() -> list[tuple[str, str]]:
        seen = []
        for _ in range(4):
            text, reply = await ask(made)
            seen.append((text, reply.meta.degraded))
            await asyncio.sleep(0.012)
        return seen

    assert run(overloaded())[-1] == ("short", "small")
    big.refuses = None

    async def calm() -> str:
        await asyncio.sleep(0.1)
        return (await ask(made))[1].meta.degraded

    assert run(calm()) == ""


def test_a_step_that_fails_goes_on_to_the_next_one() -> None:
    ladder = LadderSettings(steps=("small", "rule"))
    made = router(
        Backend("big"),
        Backend("small", refuses=DOWN),
        models=("big",),
        ladder=ladder,
        rule=Rule(RuleSettings(text="Later.")),
    )
    made.routes["route"].ladder.step = 1  # type: ignore[union-attr]
    text, reply = run(ask(made))
    assert (text, reply.meta.degraded) == ("Later.", "rule")


def test_refusing_is_the_last_step() -> None:
    made = router(Backend("big"), ladder=LadderSettings(steps=("refuse",)))
    made.routes["route"].ladder.step = 1  # type: ignore[union-attr]
    with pytest.raises(Overloaded, match="overloaded"):
        run(ask(made))


def test_a_rule_may_be_a_function_and_its_faults_are_told() -> None:
    rule = Rule(RuleSettings(function="x:y"), lambda text: text.upper())
    assert run(ask(router(Backend("a", refuses=DOWN), fallback=("rule",), rule=rule)))[0] == "HELLO"
    broken = Rule(RuleSettings(function="x:y"), lambda text: 1 / 0)
    with pytest.raises(Unavailable):
        run(ask(router(Backend("a", refuses=DOWN), fallback=("rule",), rule=broken)))


def test_one_deadline_for_the_whole_chain() -> None:
    backends = [Backend(name, [0.2, DOWN]) for name in "abcdef"]
    made = router(*backends, timeout_ms=300)
    began = time.monotonic()
    with pytest.raises((DeadlineExceeded, Unavailable)):
        run(ask(made))
    assert time.monotonic() - began < 3


def test_who_says_nothing_leaves_time_for_the_next() -> None:
    mute = Backend("a", [60.0])
    made = router(mute, Backend("b", ["from b"]), timeout_ms=400)
    assert run(ask(made))[0] == "from b"
    for _ in range(4):
        run(ask(made))
    assert made.pool.of("a").breaker.on_trial


def test_a_models_own_time_limit_is_not_the_routes() -> None:
    made = router(Backend("a", [0.01, DeadlineExceeded("the model's own time is over")]), Backend("b", ["from b"]))
    assert run(ask(made))[0] == "from b"


def test_who_waits_for_his_turn_blames_nobody() -> None:
    class Queued(Backend):
        async def _play(self, reply: Reply) -> None:
            await asyncio.sleep(60)

    made = router(Queued("a"), Backend("b", ["from b"]), patience_ms=10)
    for _ in range(6):
        assert run(ask(made))[0] == "from b"
    assert not made.pool.of("a").breaker.on_trial


def test_signs_of_life_prolong_patience() -> None:
    class Working(Backend):
        async def _play(self, reply: Reply) -> None:
            for _ in range(10):
                reply.alive()
                await asyncio.sleep(0.05)
            await super()._play(reply)

    made = router(Working("a", ["from a"]), Backend("b"), patience_ms=300)
    assert run(ask(made))[0] == "from a"


def test_a_model_that_there_is_not_ends_nothing() -> None:
    rule = Rule(RuleSettings(text="Later."))
    made = router(Backend("a", refuses=DOWN), models=("a",), fallback=("b", "rule"), rule=rule)
    assert run(ask(made))[0] == "Later."


def test_ceilings_hold_for_pins_and_leave_fallbacks() -> None:
    full, rule = Backend("a", load=3.0), Rule(RuleSettings(text="Later."))
    made = router(full, models=("a",), fallback=("rule",), rule=rule, ceilings=CeilingSettings(load=1.0))
    text, reply = run(ask(made))
    assert (text, reply.meta.why) == ("Later.", "no model is under the ceilings")
    with pytest.raises(Overloaded, match="busy"):
        run(ask(made, hints=Hints(pin="a")))


def test_a_fallback_that_fails_comes_last() -> None:
    broken, good = Backend("broken", refuses=DOWN), Backend("good", ["from good"])
    made = router(Backend("a", refuses=DOWN), broken, good, models=("a",), fallback=("broken", "good"))
    for _ in range(8):
        assert run(ask(made))[0] == "from good"
    before = broken.asked
    assert run(ask(made))[1].meta.model == "good"
    assert broken.asked == before


def test_who_is_tried_is_who_would_have_been_asked() -> None:
    judge = Judge(Lengths(), Threshold(0.2, 0.5))
    small, large = Backend("small", refuses=DOWN), Backend("large", ["from large"])
    made = router(small, large, policy="complexity", judge=judge)
    for _ in range(4):
        run(ask(made, text="2+2?"))
    breaker = made.pool.of("small").breaker
    assert breaker.on_trial
    breaker.next_probe, before = 0.0, small.asked
    assert run(ask(made, text="Is this one a little harder?"))[1].meta.why == "hard (0.04)"
    assert small.asked == before
    small.refuses = None
    assert run(ask(made, text="2+2?"))[1].meta.why == "tries whether small is back"


def test_a_wish_that_nobody_meets_is_named() -> None:
    made = router(Backend("a"), Backend("b"))
    reply = run(ask(made, hints=Hints(quality=0.9)))[1]
    assert (reply.meta.model, reply.meta.why) == ("b", "first in order; 1 of 2 as wished")
    reply = run(ask(made, hints=Hints(budget=-1.0)))[1]
    assert reply.meta.why == "first in order; none within the budget"


def test_hedges_take_a_place_among_the_retries() -> None:
    second = Backend("b", [5.0])
    made = router(Backend("a", [0.3, "from a"]), second, hedge_ms=10)

    async def many() -> None:
        replies = [await made(question()) for _ in range(12)]
        for reply in replies:
            assert await said(reply) == "from a"

    run(many())
    assert second.asked <= 3
    assert (made.budget.retrying, made.budget.active) == (0, 0)


def test_a_bug_in_the_second_of_a_hedge_ends_nothing() -> None:
    class Broken(Backend):
        async def __call__(self, request: object) -> Reply:
            raise ZeroDivisionError

    made = router(Backend("a", [0.1, DOWN]), Broken("b"), Backend("c", ["from c"]), hedge_ms=10)
    assert run(ask(made))[0] == "from c"


def test_long_answers_that_go_out_whole() -> None:
    made = router(Backend("a", ["a"] * 70_000))
    assert len(run(ask(made, whole=True))[0]) == 70_000


def test_an_answer_that_goes_out_whole_may_break_in_the_middle() -> None:
    made = router(Backend("a", ["half an ", DOWN]), Backend("b", ["from b"]))
    text, reply = run(ask(made, whole=True))
    assert (text, reply.meta.model, reply.meta.tries) == ("from b", "b", 3)


class Lengths:
    """An estimate: short questions are easy, and those with a question mark are known."""

    def __call__(self, text: str, vector: object = None) -> tuple[float, bool]:
        return 1 / len(text), "?" in text

    def logged(self, text: str) -> str:
        return str(len(text))


def test_easy_questions_go_to_the_small_model_and_sessions_only_move_up() -> None:
    judge = Judge(Lengths(), Threshold(0.2, 0.5))
    made = router(Backend("small"), Backend("large"), policy="complexity", judge=judge, log_features=True)

    def asked(text: str, session: str = "") -> tuple[str, str, str]:
        reply = run(ask(made, text=text, hints=Hints(session=session)))[1]
        return reply.meta.model, reply.meta.why, reply.meta.features

    assert asked("2+2?") == ("small", "easy (0.25)", "4")
    assert asked("Is this one a little harder?")[:2] == ("large", "hard (0.04)")
    assert asked("Hm.")[:2] == ("large", "not a kind of question that is known")
    assert asked("2+2?", "mine")[0] == "small"
    assert asked("And a much harder one?", "mine")[0] == "large"
    assert asked("2+2?", "mine")[:2] == ("large", "its session needs the strong model")
    assert asked("2+2?", "yours")[0] == "small"


def test_of_those_that_are_fast_enough_the_cheapest_answers() -> None:
    made = router(Backend("dear"), Backend("cheap"), policy="latency", costs={"dear": 0.02, "cheap": 0.01})
    for name in ("dear", "cheap"):
        made.pool.of(name).took(0.1, 0.0, made._clock())
    assert run(ask(made))[1].meta.model == "cheap"


def test_a_conversation_that_bought_a_better_model_keeps_its_quality() -> None:
    made = router(Backend("small"), Backend("large"), policy="cost", costs={"small": 0.01, "large": 0.02})
    session = "a conversation"
    assert run(ask(made, hints=Hints(session=session)))[1].meta.model == "small"
    assert run(ask(made, hints=Hints(session=session, quality=1.0)))[1].meta.model == "large"
    assert run(ask(made, hints=Hints(session=session)))[1].meta.model == "large"
    assert run(ask(made, hints=Hints(session="another")))[1].meta.model == "small"
