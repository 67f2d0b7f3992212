"""POST /v1/responses."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import msgspec

from penstock.core.errors import PenstockError
from penstock.core.generation import Generated
from penstock.protocols.aside import HEAVY, aside
from penstock.protocols.generation.answers import follow
from penstock.protocols.generation.ask import Asker
from penstock.protocols.generation.headers import generation_headers
from penstock.protocols.generation.stream import PING, Source, events, sse, streamed
from penstock.protocols.http.message import HttpRequest, HttpResponse
from penstock.protocols.http.routes import Routes
from penstock.protocols.openai.responses.answer import Growing
from penstock.protocols.openai.responses.request import read_responses
from penstock.protocols.provenance import told


class Responses:
    """Translates to and from the path, and nothing else."""

    def __init__(self, asker: Asker):
        self._asker = asker

    def mount(self, routes: Routes) -> None:
        """Adds the door's path."""
        routes.add("POST", "/v1/responses", self.respond, "infer")

    async def respond(self, http: HttpRequest) -> HttpResponse:
        """POST /v1/responses"""
        if len(http.body) > HEAVY:
            message, generation = await aside(read_responses, http.body)
        else:
            message, generation = read_responses(http.body)
        timeout_ms, priority = message.timeout_ms, message.priority
        reply = await self._asker.ask(
            http, message.model, generation, timeout_ms=timeout_ms, priority=priority, whole=not message.stream
        )
        growing = Growing(message, generation.tool_choice)
        if message.stream:
            return streamed(reply, typed_stream(reply, growing, http.id), generation_headers(reply.meta))
        usage = await follow(reply, growing.add)
        body = growing.body(usage, told(reply.meta, http.id))
        return HttpResponse(200, msgspec.json.encode(body), headers=generation_headers(reply.meta))


async def typed_stream(reply: Source, growing: Growing, request_id: str) -> AsyncGenerator[bytes, None]:
    """The bytes of the stream: typed events, the last of them `completed`, `incomplete` or `failed`."""
    async with aclosing(events(reply, request_id=request_id)) as came:
        async for event in came:
            if event is None:
                yield PING
            elif isinstance(event, PenstockError):
                yield _written(growing.failed(event))
            elif isinstance(event, Generated):
                yield _written(growing.completed(event.usage, told(reply.meta, request_id)))
            elif found := growing.add(event):
                yield _written(found)


def _written(found: list[dict[str, Any]]) -> bytes:
    return b"".join(sse(event, event["type"]) for event in found)
