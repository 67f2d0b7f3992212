"""Chats and completions as OpenAI's streams: chunks, then usage, then `[DONE]`; an error ends the stream without it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, Protocol

import msgspec

from penstock.core.errors import PenstockError
from penstock.core.generation import Event, Generated, Usage
from penstock.protocols.generation.stream import PING, Source, events, sse
from penstock.protocols.http.errors import openai_error
from penstock.protocols.provenance import told

DONE = b"data: [DONE]\n\n"


class StreamOptions(msgspec.Struct, forbid_unknown_fields=True):
    """What a streamed answer tells beside its text; `continuous_usage_stats` is vLLM's."""

    include_usage: bool | None = None
    continuous_usage_stats: bool | None = None
    include_obfuscation: bool | None = None


class Chunked(Protocol):
    """Events to chunks, one after the other."""

    def chunks(self, event: Event) -> list[dict[str, Any]]:
        """What to send at this event."""

    def last(self, usage: Usage, told: Mapping[str, Any]) -> list[dict[str, Any]]:
        """What to send at the end of an answer that went well; `told`: what it says of who answered."""


async def chunk_stream(reply: Source, form: Chunked, request_id: str) -> AsyncGenerator[bytes, None]:
    """The bytes of the stream."""
    async with aclosing(events(reply, request_id=request_id)) as came:
        async for event in came:
            if event is None:
                yield PING
            elif isinstance(event, PenstockError):
                yield sse(openai_error(event, request_id))
            elif isinstance(event, Generated):
                yield b"".join(map(sse, form.last(event.usage, told(reply.meta, request_id)))) + DONE
            elif found := form.chunks(event):
                yield b"".join(map(sse, found))
