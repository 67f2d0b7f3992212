"""Conversations with a route: what names them, and what they have reached."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from penstock.core.generation import Generation, Message, Sampling
from penstock.core.request import Hints, Request
from penstock.core.tensors import Tensor
from penstock.routing.complexity.threshold import Threshold
from penstock.routing.failure.breaker import BreakerSettings
from penstock.routing.failure.budget import RetryBudget, RetrySettings
from penstock.routing.judge import Judge
from penstock.routing.pool import Pool
from penstock.routing.responses.responses import Responses
from penstock.routing.route import Route
from penstock.routing.router import Router
from penstock.routing.settings import ResponseCacheSettings, RouteSettings
from penstock.routing.signals import NOWHERE, Session, Sessions, session_of
from tests.routing.backends import Backend, Backends


def asks(*said: str, tenant: str = "ours", route: str = "route", system: str = "", session: str = "") -> Request:
    """A conversation so far: the user begins, the assistant follows, and so on."""
    turns = [Message("assistant" if place % 2 else "user", text) for place, text in enumerate(said)]
    messages = (*([Message("system", system)] if system else []), *turns)
    hints = Hints(session=session) if session else None
    return Request(
        "1", route, Generation(messages=messages, sampling=Sampling(temperature=0.0)), tenant=tenant, hints=hints
    )


def test_a_conversation_has_one_name_from_its_first_question_on() -> None:
    first, later = session_of(asks("Hi", system="Be kind")), session_of(asks("Hi", "Hello", "Why?", system="Be kind"))
    assert first.key == later.key != ""
    assert (first.first, later.first) == (True, False)


@pytest.mark.parametrize(
    "other",
    [
        asks("Hello"),
        asks("Hi", tenant="theirs"),
        asks("Hi", route="another"),
        asks("Hi", system="Be brief"),
        asks("Hi", session="mine"),
    ],
)
def test_what_tells_conversations_apart(other: Request) -> None:
    assert session_of(asks("Hi")).key != session_of(other).key


def test_a_name_of_the_callers_own_counts_from_the_beginning() -> None:
    assert session_of(asks("Hi", session="mine")) == session_of(asks("Ho", "?", "Hm", session="mine"))
    assert not session_of(asks("Hi", session="mine")).first


def test_no_conversation() -> None:
    tensors = {"x": Tensor.of([1.0])}
    for payload in (tensors, Generation(prompt="Hi"), Generation(prompt=(1, 2))):
        assert session_of(Request("1", "route", payload)) == NOWHERE  # type: ignore[arg-type]
    assert session_of(asks("\ud800")).key


def test_what_was_reached_long_ago_does_not_come_back() -> None:
    sessions, mine = Sessions(), Session("mine", False)
    sessions.reached(mine, 1.0, 0.0)
    assert sessions.floor(mine, 3600.0, 3600.0) == 1.0
    assert sessions.floor(mine, 7200.0, 3600.0) == 0.0
    sessions.reached(mine, 0.5, 7200.0)
    assert sessions.floor(mine, 7201.0, 3600.0) == 0.5


def test_a_first_question_has_reached_nothing_but_is_remembered() -> None:
    sessions = Sessions()
    sessions.reached(Session("a", True), 1.0, 0.0)
    assert sessions.floor(Session("a", True), 1.0, 60.0) == 0.0
    assert sessions.floor(Session("a", False), 1.0, 60.0) == 1.0
    assert sessions.floor(NOWHERE, 1.0, 60.0) == 0.0


class Lengths:
    """An estimate: short questions are easy."""

    def __call__(self, text: str, vector: object = None) -> tuple[float, bool]:
        return 1 / len(text), True

    def logged(self, text: str) -> str:
        return ""


def router(judge: Judge | None = None, **settings: Any) -> Router:
    models, pool = Backends([Backend("small"), Backend("large")]), Pool(BreakerSettings())
    chosen = RouteSettings(models=("small", "large"), **settings)
    responses = None if chosen.cache is None else Responses("route", chosen, models)  # type: ignore[arg-type]
    route = Route("route", chosen, models, pool, lambda *_: 0.0, judge=judge, responses=responses)  # type: ignore[arg-type]
    return Router(models, {"route": route}, pool, RetryBudget(RetrySettings()), rng=random.Random(0))


async def model(made: Router, *said: str) -> tuple[str, str]:
    reply = await made(asks(*said))
    async for _ in reply:
        pass
    return reply.meta.model, reply.meta.cache


def test_a_conversation_keeps_its_model_and_weights_hold() -> None:
    async def scenario() -> None:
        made, chosen = router(policy="weighted"), []
        for number in range(200):
            begin = f"question {number}"
            first = await model(made, begin)
            assert await model(made, begin, "x", "more") == first
            assert await model(made, begin, "x", "more", "y", "even more") == first
            chosen.append(first[0])
        assert 60 < chosen.count("small") < 140

    asyncio.run(scenario())


def test_what_the_first_answer_reached_holds_for_the_second_and_not_for_others_who_begin_alike() -> None:
    async def scenario() -> None:
        judge = Judge(Lengths(), Threshold(0.2, 0.5))
        made = router(judge, policy="complexity", cache=ResponseCacheSettings())
        hard, easy = "Is this one a little harder?", "Hm?"
        assert await model(made, hard) == ("large", "miss")
        assert await model(made, hard, "x", easy) == ("large", "miss")
        assert await model(made, hard) == ("large", "hit"), "the same question again"
        assert await model(made, easy) == ("small", "miss")
        assert await model(made, easy, "x", hard) == ("large", "miss")
        assert await model(made, easy) == ("small", "hit")

    asyncio.run(scenario())
