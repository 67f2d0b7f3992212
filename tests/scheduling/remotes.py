"""Models of fake providers in service, for tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from penstock.core.generation import Generation, Message, Text
from penstock.core.model import ModelSpec
from penstock.core.reply import Reply
from penstock.core.request import Request
from penstock.fakes.server import FakeServer
from penstock.scheduling.fleet import Fleet
from penstock.scheduling.settings import DeploymentSettings

HI = Generation(messages=(Message("user", "How are you?"),))
ANSWER = "You said: How are you?"


def spec(fake: FakeServer, provider: str = "openai", model: str = "gpt-5-mini", **options: Any) -> ModelSpec:
    """A model of a fake provider."""
    told = {"provider": provider, "model": model, "url": fake.url, **options}
    return ModelSpec(name="m", runtime="remote", path="", options=told)


@asynccontextmanager
async def served(fake: FakeServer, provider: str = "openai", **options: Any) -> AsyncIterator[Fleet]:
    """A fleet of that one model."""
    fleet = Fleet(5)
    fleet.add(spec(fake, provider, **options), DeploymentSettings())
    fleet.start()
    await fleet.loaded()
    try:
        yield fleet
    finally:
        await fleet.close()


async def asked(fleet: Fleet, generation: Generation = HI, **request: Any) -> Reply:
    """A request, on its way."""
    return await fleet(Request("1", "m", generation, **request))


async def events(reply: Reply) -> list[Any]:
    """What came of a reply; an error is the last."""
    found: list[Any] = []
    try:
        async with asyncio.timeout(30):
            async for event in reply:
                found.append(event)
    except Exception as error:
        found.append(error)
    return found


async def said(fleet: Fleet, generation: Generation = HI, **request: Any) -> str:
    """The text of an answer. Raises what went wrong."""
    found = await events(await asked(fleet, generation, **request))
    if isinstance(found[-1], Exception):
        raise found[-1]
    return "".join(event.text for event in found if isinstance(event, Text))


async def until(condition: Any, patience_s: float = 10.0) -> None:
    """Waits until something holds."""
    async with asyncio.timeout(patience_s):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
