"""POST /v1/completions."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.core.errors import BadInput
from penstock.core.generation import Generation
from penstock.protocols.aside import HEAVY, aside
from penstock.protocols.generation.answers import collect
from penstock.protocols.generation.ask import Asker
from penstock.protocols.generation.headers import generation_headers
from penstock.protocols.generation.stream import Source, streamed
from penstock.protocols.http.message import HttpRequest, HttpResponse
from penstock.protocols.http.routes import Routes
from penstock.protocols.openai.completions.answer import CompletionChunks, completion_answer
from penstock.protocols.openai.completions.request import CompletionRequest, read_completion
from penstock.protocols.openai.sse import chunk_stream
from penstock.protocols.provenance import told


class Completions:
    """Translates to and from the path, and nothing else."""

    def __init__(self, asker: Asker):
        self._asker = asker

    def mount(self, routes: Routes) -> None:
        """Adds the door's path."""
        routes.add("POST", "/v1/completions", self.complete, "infer")

    async def complete(self, http: HttpRequest) -> HttpResponse:
        """POST /v1/completions"""
        if len(http.body) > HEAVY:
            message, generations = await aside(read_completion, http.body)
        else:
            message, generations = read_completion(http.body)
        reply = await self._asked(http, message, generations)
        if message.stream:
            choices = sum(generation.choices for generation in generations)
            chunks = chunk_stream(reply, CompletionChunks(message, choices), http.id)
            return streamed(reply, chunks, generation_headers(reply.meta))
        answer = await collect(reply)
        body = msgspec.json.encode(completion_answer(message, answer, told(reply.meta, http.id)))
        return HttpResponse(200, body, headers=generation_headers(reply.meta))

    async def _asked(self, http: HttpRequest, message: CompletionRequest, generations: list[Generation]) -> Source:
        model, whole = message.model, not message.stream
        wishes: dict[str, Any] = {"timeout_ms": message.timeout_ms, "priority": message.priority, "whole": whole}
        try:
            if len(generations) > 1:
                return await self._asker.ask_all(http, model, generations, **wishes)
            return await self._asker.ask(http, model, generations[0], **wishes)
        except BadInput as error:
            # What chats ask for in two fields is one here.
            error.param = "logprobs" if error.param == "top_logprobs" else error.param
            raise
