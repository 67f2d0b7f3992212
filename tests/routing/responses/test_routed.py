"""What a route's cache keeps of answers that the router itself found."""

from __future__ import annotations

import asyncio
import random

from penstock.core.errors import ProviderFailed
from penstock.core.reply import Reply
from penstock.core.request import Request
from penstock.routing.failure.breaker import BreakerSettings
from penstock.routing.failure.budget import RetryBudget, RetrySettings
from penstock.routing.pool import Pool
from penstock.routing.responses.responses import Responses
from penstock.routing.route import Route
from penstock.routing.router import Router
from penstock.routing.settings import ResponseCacheSettings, RouteSettings
from tests.routing.backends import Backend, Backends
from tests.routing.responses.world import question


def routed(*backends: Backend) -> Router:
    models, pool = Backends(backends), Pool(BreakerSettings())
    settings = RouteSettings(models=tuple(models.by_name), cache=ResponseCacheSettings())
    responses = Responses("route", settings, models)  # type: ignore[arg-type]
    route = Route("route", settings, models, pool, lambda *_: 0.0, responses=responses)  # type: ignore[arg-type]
    return Router(models, {"route": route}, pool, RetryBudget(RetrySettings(backoff_ms=1)), rng=random.Random(0))


async def answered(made: Router, **more: object) -> Reply:
    reply = await made(Request("1", "route", question(), **more))  # type: ignore[arg-type]
    async for _ in reply:
        pass
    return reply


def test_what_the_second_choice_said_is_not_kept() -> None:
    async def scenario() -> None:
        strong = Backend("strong", refuses=ProviderFailed("down"))
        made = routed(strong, Backend("small"))
        for _ in range(2):
            reply = await answered(made)
            assert (reply.meta.model, reply.meta.cache) == ("small", "miss")
        strong.refuses = None
        reply = await answered(made)
        assert (reply.meta.model, reply.meta.cache) == ("strong", "miss")
        assert (await answered(made)).meta.cache == "hit"

    asyncio.run(scenario())


def test_an_answer_that_goes_out_whole_does_not_break_with_one_that_is_streamed() -> None:
    async def scenario() -> None:
        made = routed(Backend("a", ["half", 0.05, ProviderFailed("down")]), Backend("b"))
        streamed = asyncio.create_task(answered(made))
        await asyncio.sleep(0.01)
        assert (await answered(made, whole=True)).meta.model == "b"
        [broken] = await asyncio.gather(streamed, return_exceptions=True)
        assert isinstance(broken, ProviderFailed)

    asyncio.run(scenario())
