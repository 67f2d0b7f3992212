"""POST /api/chat and /api/generate, as Ollama's clients expect them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any, TypeVar

import msgspec

from penstock.core.clock import Clock
from penstock.core.errors import PenstockError, Unsupported
from penstock.core.generation import Generated, Generation
from penstock.core.model import Models
from penstock.core.reply import Reply
from penstock.core.request import Handler
from penstock.protocols.aside import HEAVY, aside
from penstock.protocols.generation.answers import follow
from penstock.protocols.generation.ask import Asker, Named
from penstock.protocols.generation.headers import generation_headers
from penstock.protocols.generation.stream import IDLE_S, events, streamed
from penstock.protocols.http.message import HttpRequest, HttpResponse
from penstock.protocols.http.routes import Routes
from penstock.protocols.ollama.conversation import chat_generation, prompt_generation
from penstock.protocols.ollama.lines import JSON_LINES, Line, Shape, Writer, encoded, loaded, whole
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

_T = TypeVar("_T", bound=Asked)
_chat = msgspec.json.Decoder(ChatRequest)
_generate = msgspec.json.Decoder(GenerateRequest)


class OllamaText:
    """Translates to and from the path, and nothing else."""

    def __init__(self, handler: Handler, models: Models, clock: Clock):
        self._asker = Asker(handler, models, clock)
        self._clock = clock

    def mount(self, routes: Routes) -> None:
        """Adds the door's paths."""
        routes.add("POST", "/api/chat", self.chat)
        routes.add("POST", "/api/generate", self.generate)

    async def chat(self, http: HttpRequest) -> HttpResponse:
        """POST /api/chat; without messages it only makes sure that the model is loaded."""
        message = await _read(_chat, http, CHAT_FIELDS)
        found, options = self._found(message)
        if not message.messages:
            return _loaded(message, found, "chat")
        return await self._answer(http, message, chat_generation(message, options), "chat")

    async def generate(self, http: HttpRequest) -> HttpResponse:
        """POST /api/generate; without a prompt it only makes sure that the model is loaded."""
        message = await _read(_generate, http, GENERATE_FIELDS)
        found, options = self._found(message)
        if not message.prompt:
            return _loaded(message, found, "generate")
        template = bool(found.view.spec.options.get("chat_template"))
        return await self._answer(http, message, prompt_generation(message, options, template), "generate")

    def _found(self, message: Asked) -> tuple[Named, Options]:
        """The model that is asked, and the options, which it can obey."""
        check_offered(message)
        options, found = read_options(message.options), self._asker.generates(message.model)
        signature = found.view.signature
        check_context(options, None if signature is None else signature.max_tokens)
        return found, options

    async def _answer(self, http: HttpRequest, message: Asked, generation: Generation, shape: Shape) -> HttpResponse:
        reply = await self._asker.ask(
            http, message.model, generation, timeout_ms=message.timeout_ms, priority=message.priority
        )
        writer = Writer(message.model, shape, reply.meta, self._clock)
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


async def _read(decoder: msgspec.json.Decoder[_T], http: HttpRequest, fields: Mapping[str, str]) -> _T:
    """A long body is read beside the event loop."""
    decode: Callable[..., _T] = read
    return (
        await aside(decode, decoder, http.body, fields) if len(http.body) > HEAVY else read(decoder, http.body, fields)
    )


def _loaded(message: Asked, found: Named, shape: Shape) -> HttpResponse:
    """Raises `Unsupported` when the model is to be unloaded: that is an operator's decision."""
    if _is_zero(message.keep_alive):
        says = f"POST /v2/repository/models/{found.name}/unload unloads a model, and penstock stop does so"
        raise Unsupported(f"keep_alive 0 unloads nothing here; {says}")
    line = loaded(message.model, shape)
    kind = JSON_LINES if message.stream is not False else b"application/json"
    return HttpResponse(200, encoded(line), kind)


def _is_zero(keep_alive: Any) -> bool:
    return keep_alive in (0, "0", "0s", "0m", "0h")
