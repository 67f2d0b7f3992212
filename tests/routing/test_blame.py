"""Who is to blame for silence: models that were at work on a request for too long, and nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from penstock.core.clock import system_clock
from penstock.core.request import Request
from penstock.fakes import plans
from penstock.fakes.openai import FakeOpenAI
from penstock.routing.router import Router
from tests.routing.providers import KEY, routed
from tests.scheduling.remotes import HI, events


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def failures(made: Router) -> dict[str, int]:
    return {member.name: member.breaker.failures for member in made.pool}


async def times(count: int, ask: Callable[[], Any]) -> None:
    for _ in range(count):
        await events(await ask())


def test_callers_with_little_time_put_nobody_out() -> None:
    async def check() -> None:
        async with routed({"a": plans.slow(0.3), "b": plans.slow(0.3)}) as (made, _):
            await times(6, lambda: made(Request("1", "route", HI, deadline=system_clock() + 0.2)))
            assert failures(made) == {"a": 0, "b": 0}
            reply = await made(Request("2", "route", HI))
            await events(reply)
            assert reply.meta.model == "a"

    asyncio.run(check())


def test_who_is_silent_for_longer_than_the_route_waits_is_put_out() -> None:
    async def check() -> None:
        async with routed({"a": plans.mute(), "b": plans.GOOD}, patience_ms=50) as (made, _):
            await times(5, lambda: made(Request("1", "route", HI)))
            assert made.pool.of("a").breaker.ejected(system_clock())

    asyncio.run(check())


def test_a_silent_model_is_asked_once_while_others_are_left() -> None:
    async def check() -> None:
        async with routed({"a": plans.mute(), "b": plans.GOOD}, patience_ms=50) as (made, _):
            reply = await made(Request("1", "route", HI))
            await events(reply)
            assert (reply.meta.model, reply.meta.tries) == ("b", 2)

    asyncio.run(check())


def test_a_hedge_that_never_began_is_not_to_blame() -> None:
    async def check() -> None:
        plan = {"a": plans.mute(), "b": plans.slow(1.5), "c": plans.GOOD}
        async with routed(plan, {"b": {"max_concurrency": 1}}, hedge_ms=50, patience_ms=300) as (made, fleet):
            busy = await fleet(Request("busy", "b", HI))
            reply = await made(Request("1", "route", HI))
            await events(reply)
            assert reply.meta.model == "c"
            assert failures(made) == {"a": 1, "b": 0, "c": 0}
            busy.close()

    asyncio.run(check())


def test_who_is_tried_after_failures_answers_piece_by_piece_so_that_its_silence_shows() -> None:
    async def check() -> None:
        with FakeOpenAI(key=KEY) as fake:
            async with routed({"a": fake, "b": plans.GOOD}) as (made, _):
                whole = Request("1", "route", HI, whole=True)
                await times(1, lambda: made(whole))
                fake.plan = plans.failing()
                await times(5, lambda: made(whole))
                breaker = made.pool.of("a").breaker
                assert breaker.ejected(system_clock())
                fake.plan, breaker.next_probe = plans.GOOD, 0.0
                await times(1, lambda: made(whole))
            streamed = [call.json.get("stream", False) for call in fake.calls]
            assert (streamed[0], streamed[-1]) == (False, True)

    asyncio.run(check())
