"""POST /v1/messages and /v1/messages/count_tokens, as Anthropic's clients expect them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import TypeVar

import msgspec

from penstock.core.clock import Clock
from penstock.core.errors import PenstockError
from penstock.core.generation import Generated, Generation
from penstock.core.model import Catalog
from penstock.core.reply import Reply
from penstock.core.request import Handler
from penstock.protocols.anthropic.conversation import read_asked, read_counted
from penstock.protocols.anthropic.events import PING, Wire, Writer, whole
from penstock.protocols.anthropic.messages import CountRequest, MessagesRequest
from penstock.protocols.aside import HEAVY, aside
from penstock.protocols.generation.answers import collect, follow
from penstock.protocols.generation.ask import Asker
from penstock.protocols.generation.headers import generation_headers
from penstock.protocols.generation.stream import IDLE_S, events, sse, streamed
from penstock.protocols.http.errors import anthropic_error
from penstock.protocols.http.message import Headers, HttpRequest, HttpResponse
from penstock.protocols.http.routes import Routes
from penstock.protocols.provenance import told

_T = TypeVar("_T", bound=CountRequest)


class Anthropic:
    """Translates to and from the path, and nothing else."""

    def __init__(self, handler: Handler, models: Catalog, clock: Clock):
        self._asker = Asker(handler, models, clock)

    def mount(self, routes: Routes) -> None:
        """Adds the door's paths."""
        routes.add("POST", "/v1/messages", self.messages, "infer")
        routes.add("POST", "/v1/messages/count_tokens", self.count_tokens, "infer")

    async def messages(self, http: HttpRequest) -> HttpResponse:
        """POST /v1/messages"""
        message, generation = await _read(read_asked, http)
        reply = await self._asked(http, message, generation)
        writer = Writer(message.model, _omits(message), lambda: told(reply.meta, http.id))
        if message.stream:
            return streamed(reply, _chunks(reply, writer, http.id), _headers(reply, http))
        wires: list[Wire] = []
        usage = await follow(reply, lambda event: wires.extend(writer.write(event)))
        wires += writer.write(Generated(usage))
        return HttpResponse(200, msgspec.json.encode(whole(wires)), headers=_headers(reply, http))

    async def count_tokens(self, http: HttpRequest) -> HttpResponse:
        """POST /v1/messages/count_tokens: what the prompt takes; nothing is generated."""
        message, generation = await _read(read_counted, http)
        reply = await self._asked(http, message, generation)
        answer = await collect(reply)
        counted = {"input_tokens": answer.started.prompt_tokens}
        return HttpResponse(200, msgspec.json.encode(counted), headers=_headers(reply, http))

    async def _asked(self, http: HttpRequest, message: CountRequest, generation: Generation) -> Reply:
        timeout_ms, priority = message.timeout_ms, message.priority
        whole = not getattr(message, "stream", False)
        return await self._asker.ask(
            http, message.model, generation, timeout_ms=timeout_ms, priority=priority, whole=whole
        )


async def _chunks(reply: Reply, writer: Writer, request_id: str) -> AsyncGenerator[bytes, None]:
    """The stream's bytes; an error is its last event, and then there is no message_stop."""
    async for event in events(reply, IDLE_S, request_id):
        if event is None:
            yield _sse(PING)
        elif isinstance(event, PenstockError):
            yield _sse(anthropic_error(event, request_id))
        else:
            yield b"".join(map(_sse, writer.write(event)))


def _sse(wire: Wire) -> bytes:
    return sse(wire, wire["type"])


async def _read(read: Callable[[bytes | bytearray], tuple[_T, Generation]], http: HttpRequest) -> tuple[_T, Generation]:
    """The message, and what it asks for; a long one is read beside the event loop."""
    return await aside(read, http.body) if len(http.body) > HEAVY else read(http.body)


def _omits(message: MessagesRequest) -> bool:
    return message.thinking is not None and message.thinking.display == "omitted"


def _headers(reply: Reply, http: HttpRequest) -> Headers:
    return [*generation_headers(reply.meta), (b"request-id", http.id.encode())]
