"""POST /v1/chat/completions."""

from __future__ import annotations

import msgspec

from penstock.protocols.aside import HEAVY, aside
from penstock.protocols.generation.answers import collect
from penstock.protocols.generation.ask import Asker
from penstock.protocols.generation.headers import generation_headers
from penstock.protocols.generation.stream import streamed
from penstock.protocols.http.message import HttpRequest, HttpResponse
from penstock.protocols.http.routes import Routes
from penstock.protocols.openai.chat.answer import ChatChunks, chat_answer
from penstock.protocols.openai.chat.request import read_chat
from penstock.protocols.openai.sse import chunk_stream
from penstock.protocols.provenance import told


class Chat:
    """Translates to and from the path, and nothing else."""

    def __init__(self, asker: Asker):
        self._asker = asker

    def mount(self, routes: Routes) -> None:
        """Adds the door's path."""
        routes.add("POST", "/v1/chat/completions", self.complete, "infer")

    async def complete(self, http: HttpRequest) -> HttpResponse:
        """POST /v1/chat/completions"""
        if len(http.body) > HEAVY:
            message, generation = await aside(read_chat, http.body)
        else:
            message, generation = read_chat(http.body)
        asked = self._asker.ask(
            http,
            message.model,
            generation,
            timeout_ms=message.timeout_ms,
            priority=message.priority,
            whole=not message.stream,
        )
        reply = await asked
        if message.stream:
            chunks = chunk_stream(reply, ChatChunks(message, generation.choices), http.id)
            return streamed(reply, chunks, generation_headers(reply.meta))
        answer = await collect(reply)
        body = msgspec.json.encode(chat_answer(message, answer, told(reply.meta, http.id)))
        return HttpResponse(200, body, headers=generation_headers(reply.meta))
