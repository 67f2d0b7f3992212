"""POST /api/chat and /api/generate, as Ollama's clients expect them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any, TypeVar

import msgspec

from penstock.core.clock import Clock
from penstock.core.errors import PenstockError
from penstock.core.generation import Generated, Generation
from penstock.core.model import Catalog, Lifecycle
from penstock.core.reply import Reply
from penstock.core.request import Handler
from penstock.protocols.aside import HEAVY, aside
from penstock.protocols.generation.answers import follow
from penstock.protocols.generation.ask import Asker, Named
from penstock.protocols.generation.headers import generation_headers
from penstock.protocols.generation.stream import IDLE_S, events, streamed
from penstock.protocols.http.message import JSON, HttpRequest, HttpResponse
from penstock.protocols.http.routes import Routes
from penstock.protocols.lifecycle import Loads
from penstock.protocols.ollama.conversation import chat_generation, prompt_generation
from penstock.protocols.ollama.finding import find
from penstock.protocols.ollama.lines import JSON_LINES, Line, Shape, Writer, asked_nothing, encoded, whole
from penstock.protocols.ollama.messages import (
    CHAT_FIELDS,
    GENERATE_FIELDS,
    Asked,
    ChatRequest,
    GenerateRequest,
    check_offered,
)
from penstock.protocols.ollama.options import Options, check_context, read_options
from penstock.protocols.reading import read

_T = TypeVar("_T")
_A = TypeVar("_A", bound=Asked)
_chat = msgspec.json.Decoder(ChatRequest)
_generate = msgspec.json.Decoder(GenerateRequest)


class OllamaText:
    """Translates to and from the path. `lifecycle`: loads models that were unloaded when they are asked for something,
    and unloads them for clients that want that; None where clients may not."""

    def __init__(self, handler: Handler, models: Catalog, clock: Clock, lifecycle: Lifecycle | None = None):
        self._asker = Asker(handler, models, clock)
        self._clock = clock
        self._loads = Loads(lifecycle, models)

    def mount(self, routes: Routes) -> None:
        """Adds the door's paths."""
        routes.add("POST", "/api/chat", self.chat, "infer")
        routes.add("POST", "/api/generate", self.generate, "infer")

    async def chat(self, http: HttpRequest) -> HttpResponse:
        """POST /api/chat; without messages it loads the model, or unloads it."""
        message = await _beside(http, _decode, _chat, http.body, CHAT_FIELDS)
        found = await find(self._asker, http, message.model)
        if not message.messages:
            return await self._load(http, message, found, "chat")
        await self._loads.at_hand(found.view, http.principal)
        options = await self._options(http, message)
        return await self._answer(http, message, await _beside(http, chat_generation, message, options), "chat")

    async def generate(self, http: HttpRequest) -> HttpResponse:
        """POST /api/generate; without a prompt it loads the model, or unloads it."""
        message = await _beside(http, _decode, _generate, http.body, GENERATE_FIELDS)
        found = await find(self._asker, http, message.model)
        if not message.prompt:
            return await self._load(http, message, found, "generate")
        await self._loads.at_hand(found.view, http.principal)
        options, template = await self._options(http, message), bool(found.view.spec.options.get("chat_template"))
        generation = await _beside(http, prompt_generation, message, options, template)
        return await self._answer(http, message, generation, "generate")

    async def _options(self, http: HttpRequest, message: Asked) -> Options:
        """The options, which the model can obey."""
        options = await _beside(http, read_options, message.options)
        signature = self._asker.generates(http, message.model).view.signature
        check_context(options, None if signature is None else signature.max_tokens)
        return options

    async def _load(self, http: HttpRequest, message: Asked, found: Named, shape: Shape) -> HttpResponse:
        """Loads the model, or, with a `keep_alive` of 0, unloads it."""
        leave, name = is_zero(message.keep_alive), found.view.spec.name
        if leave:
            await self._loads.unload(name, http.principal)
        elif self._loads.allowed(http.principal) and not self._loads.route(name):
            await self._loads.load(name, http.principal)
        else:
            self._asker.generates(http, message.model)
        line = asked_nothing(message.model, shape, "unload" if leave else "load")
        return HttpResponse(200, encoded(line), JSON if message.stream is False else JSON_LINES)

    async def _answer(self, http: HttpRequest, message: Asked, generation: Generation, shape: Shape) -> HttpResponse:
        reply = await self._asker.ask(
            http,
            message.model,
            generation,
            timeout_ms=message.timeout_ms,
            priority=message.priority,
            whole=message.stream is False,
        )
        writer = Writer(message.model, shape, reply.meta, self._clock, http.id)
        if message.stream is not False:
            return streamed(reply, _lines(reply, writer, http.id), generation_headers(reply.meta), JSON_LINES)
        lines: list[Line] = []
        usage = await follow(reply, lambda event: lines.extend(writer.write(event)))
        lines += writer.write(Generated(usage))
        return HttpResponse(200, msgspec.json.encode(whole(lines)), headers=generation_headers(reply.meta))


async def _lines(reply: Reply, writer: Writer, request_id: str) -> AsyncGenerator[bytes, None]:
    """The stream's bytes; an error is its last line, and then none says `done`."""
    async for event in events(reply, IDLE_S, request_id):
        if event is None:
            yield encoded(writer.idle())
        elif isinstance(event, PenstockError):
            yield encoded({"error": event.message, "code": event.code, "request_id": request_id})
        else:
            yield b"".join(map(encoded, writer.write(event)))


async def _beside(http: HttpRequest, work: Callable[..., _T], *arguments: Any) -> _T:
    """Work on what was sent: beside the event loop where that is long."""
    return await aside(work, *arguments) if len(http.body) > HEAVY else work(*arguments)


def _decode(decoder: msgspec.json.Decoder[_A], body: bytes | bytearray, fields: Mapping[str, str]) -> _A:
    message = read(decoder, body, fields)
    check_offered(message)
    return message


def is_zero(keep_alive: str | float | None) -> bool:
    """Whether a duration is none at all."""
    if isinstance(keep_alive, str):
        return keep_alive.rstrip("nuµmsh") == "0"
    return keep_alive == 0 and keep_alive is not None
