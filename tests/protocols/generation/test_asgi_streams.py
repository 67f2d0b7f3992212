"""Streams of generated text through the plain ASGI app, as another server runs it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from penstock.core.clock import system_clock
from penstock.core.generation import Started, Text
from penstock.protocols.http.app import HttpApp
from penstock.protocols.http.asgi import AsgiApp, asgi
from penstock.protocols.http.limits import HttpLimits
from penstock.protocols.http.routes import Routes
from penstock.protocols.openai.door import OpenAI
from tests.protocols.openai.live import data_of
from tests.protocols.scripted import Scripted, Served, llm


async def _nothing() -> None:
    """A server without a life of its own."""


def app_over(model: Scripted) -> AsgiApp:
    routes, limits = Routes(), HttpLimits()
    OpenAI(model, Served([llm()]), system_clock).mount(routes)
    return asgi(HttpApp(routes, limits, hosts=None), limits, _nothing, _nothing)


async def exchange(app: AsgiApp, leaves_after: int | None) -> list[Any]:
    """What the app sends for a streamed chat; the client leaves after so many messages."""
    body = json.dumps({"model": "tiny", "stream": True, "messages": [{"role": "user", "content": "Hi"}]}).encode()
    scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": [], "query_string": b""}
    sent: list[Any] = []
    come = [{"type": "http.request", "body": body}]
    gone = asyncio.Event()

    async def receive() -> Any:
        if come:
            return come.pop()
        if leaves_after != 0:
            await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)
        if len(sent) == leaves_after:
            gone.set()

    await asyncio.wait_for(app(scope, receive, send), 10)
    return sent


def test_a_whole_stream() -> None:
    start, *rest = asyncio.run(exchange(app_over(Scripted()), None))
    assert dict(start["headers"])[b"content-type"].startswith(b"text/event-stream")
    chunks = data_of(b"".join(message["body"] for message in rest))
    assert (chunks[1]["choices"][0]["delta"], chunks[-1]) == ({"content": "Hel"}, "[DONE]")


@pytest.mark.parametrize("leaves_after", [0, 1, 2, 3])
def test_a_client_that_leaves_ends_the_answer(leaves_after: int) -> None:
    model = Scripted((Started(3), Text(0, "a"), Text(0, "b"), 30.0))

    async def leave() -> None:
        await exchange(app_over(model), leaves_after)
        await asyncio.sleep(0)
        assert model.closed == len(model.requests)

    asyncio.run(leave())
