"""Routes over scripted models: who answers, what is told, and that everything is settled once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from typing import Any

import pytest

from penstock.core.errors import BadInput, Cancelled, PenstockError, ProviderFailed, Unavailable
from penstock.core.generation import Generated, Text
from penstock.core.reply import Reply
from penstock.core.request import Hints
from penstock.routing.failure.breaker import BreakerSettings
from penstock.routing.failure.budget import RetryBudget, RetrySettings
from penstock.routing.pool import Pool
from penstock.routing.route import Route
from penstock.routing.router import Router
from penstock.routing.rules import Rule
from penstock.routing.settings import RouteSettings, RuleSettings
from tests.routing.backends import Backend, Backends, question

DOWN = ProviderFailed("down")


def router(*backends: Backend, rule: Rule | None = None, **settings: Any) -> Router:
    models = Backends(backends)
    pool = Pool(BreakerSettings())
    chosen = RouteSettings(models=settings.pop("models", tuple(models.by_name)), **settings)
    route = Route("route", chosen, models, pool, lambda name, signals: 0.0, rule=rule)
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
        with pytest.raises(ProviderFailed):
            async for event in reply:
                got += [event.text] if isinstance(event, Text) else []
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
        assert run(ask(made))[0] == "from b"
    assert primary.asked == before
    primary.refuses = None
    made.pool.of("a").breaker.next_probe = 0.0
    text, reply = run(ask(made))
    assert (text, reply.meta.why) == ("hello", "tries whether a is back")
    assert not made.pool.of("a").breaker.ejected(1e18)


def test_a_pin_is_obeyed_and_never_replaced() -> None:
    made = router(Backend("a"), Backend("b", refuses=Unavailable("down")))
    assert run(ask(made, hints=Hints(pin="a")))[1].meta.why == "pinned"
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
