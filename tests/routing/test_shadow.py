"""Shadow calls: a second model answers the same request unseen, and how far both agree is written down."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from penstock.core.clock import system_clock
from penstock.core.errors import PenstockError
from penstock.core.principal import Principal
from penstock.core.reply import Meta, Outcome, Reply
from penstock.core.request import Request
from penstock.fakes import plans
from penstock.fakes.openai import FakeOpenAI
from penstock.fakes.speech import Said
from penstock.routing.router import Router
from penstock.routing.settings import ShadowSettings
from penstock.routing.shadow import AT_ONCE, LAST, Shadow
from penstock.scheduling.fleet import Fleet
from tests.routing.providers import KEY, routed
from tests.scheduling.remotes import ANSWER, HI, events, until
from tests.telemetry.kept import Kept

ACME = Principal(tenant="acme", key="k1")


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


@pytest.fixture
def other() -> Iterator[FakeOpenAI]:
    """The model that answers a second time."""
    with FakeOpenAI(key=KEY, said=Said(text="You said: Hi")) as fake:
        yield fake


def cost(model: str, meta: Meta) -> float:
    assert meta.usage is not None
    return meta.usage.completion_tokens / 1000


def shadow(
    book: Kept, share: float = 1.0, model: str = "other", seen: list[Request] | None = None
) -> Callable[[Fleet], Shadow]:
    """Made over a fleet; `seen` gets what it asks."""
    settings = ShadowSettings(model=model, share=share)

    def over(fleet: Fleet) -> Shadow:
        async def handler(request: Request) -> Reply:
            if seen is not None:
                seen.append(request)
            return await fleet(request)

        return Shadow("route", settings, handler, book, cost, system_clock, random.Random(0))

    return over


async def ask(made: Router, whole: bool = False) -> Outcome | None:
    reply = await made(Request("r1", "route", HI, tenant="acme", principal=ACME, whole=whole))
    await events(reply)
    return reply.outcome


def run(work: Coroutine[Any, Any, None]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(20):
            await work

    asyncio.run(limited())


def test_agreement_and_what_it_took_are_written_down(other: FakeOpenAI) -> None:
    async def check() -> None:
        book = Kept()
        async with routed({"a": plans.GOOD, "other": other}, shadow=shadow(book), models=("a",)) as (made, _):
            assert not isinstance(await ask(made), PenstockError)
            await until(lambda: book.entries)
        (score,), (entry,) = book.scores, book.entries
        assert (score.request, score.tenant, score.source) == ("r1", "acme", "shadow")
        # "You said: How are you?" and "You said: Hi" share two words, of five and three.
        assert score.score == pytest.approx(2 * 2 / (len(ANSWER.split()) + 3))
        assert (entry.id, entry.tenant, entry.key, entry.model) == ("r1-shadow", "acme", "k1", "other")
        assert (entry.shadow, entry.why, entry.route, entry.cost) == (True, "shadow", "route", 0.003)

    run(check())


def test_it_is_asked_whole_behind_all_others(other: FakeOpenAI) -> None:
    async def check() -> None:
        book, asked = Kept(), list[Request]()
        over = shadow(book, seen=asked)
        async with routed({"a": plans.GOOD, "other": other}, shadow=over, models=("a",)) as (made, _):
            await ask(made)
            await until(lambda: book.scores)
        assert other.calls[-1].json.get("stream", False) is False
        assert (asked[0].priority, asked[0].hints) == (LAST, None)
        assert asked[0].deadline < system_clock() + 150

    run(check())


@pytest.mark.parametrize("model", ["a", "a@1"])
def test_whoever_answered_is_not_asked_again(model: str) -> None:
    async def check() -> None:
        book = Kept()
        with FakeOpenAI(key=KEY) as fake:
            async with routed({"a": fake}, shadow=shadow(book, model=model)) as (made, _):
                await ask(made)
                assert made.routes["route"].shadow is not None
                assert (made.routes["route"].shadow.calls, len(fake.calls)) == (0, 1)

    run(check())


def test_its_failures_are_nobodys(other: FakeOpenAI) -> None:
    async def check() -> None:
        book, other.plan = Kept(), plans.failing()
        async with routed({"a": plans.GOOD, "other": other}, shadow=shadow(book), models=("a",)) as (made, _):
            assert not isinstance(await ask(made), PenstockError)
            await until(lambda: other.calls)
            seen = made.routes["route"].shadow
            assert seen is not None
            await until(lambda: not seen._tasks)
        assert (book.entries, book.scores) == ([], [])

    run(check())


def test_what_failed_is_not_compared(other: FakeOpenAI) -> None:
    async def check() -> None:
        book = Kept()
        async with routed({"a": plans.cut(1), "other": other}, shadow=shadow(book), models=("a",)) as (made, _):
            assert isinstance(await ask(made), PenstockError)
        assert (other.calls, book.scores) == ([], [])

    run(check())


def test_a_share_is_sampled_and_few_at_once(other: FakeOpenAI) -> None:
    async def check() -> None:
        book = Kept()
        async with routed({"a": plans.GOOD, "other": other}, shadow=shadow(book, 0.3), models=("a",)) as (made, _):
            seen = made.routes["route"].shadow
            assert seen is not None
            for _ in range(100):
                await ask(made)
                await until(lambda: not seen._tasks)
            assert 15 <= len(other.calls) <= 45
        other.plan = plans.mute()
        async with routed({"a": plans.GOOD, "other": other}, shadow=shadow(book), models=("a",)) as (made, _):
            for _ in range(AT_ONCE + 5):
                await ask(made)
            assert made.routes["route"].shadow is not None
            assert made.routes["route"].shadow.calls == AT_ONCE
            await made.stop()
            await until(lambda: other.left == AT_ONCE)

    run(check())
