"""A reply as a stream for its client: events with signs of life between, and server-sent events on the wire."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, Protocol

import msgspec

from penstock.core.errors import Cancelled, Internal, PenstockError
from penstock.core.generation import Event, Generated
from penstock.core.reply import Meta
from penstock.protocols.http.message import Headers, HttpResponse
from penstock.telemetry.logs import logger

EVENTS = b"text/event-stream; charset=utf-8"
PING = b": ping\n\n"
"""A comment: says that the stream lives, and means nothing."""
IDLE_S = 15.0
UNBUFFERED: Headers = [(b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]
"""Headers that keep proxies from holding a stream back."""
log = logger("protocols")
_encode = msgspec.json.encode


class Source(Protocol):
    """A reply of generated text, or several as one."""

    @property
    def meta(self) -> Meta: ...

    @property
    def done(self) -> bool: ...

    def take(self) -> list[Event]:
        """The events that came and were not read yet."""

    def news(self) -> asyncio.Future[None]:
        """Done at the next event, or at the end."""

    def generated(self) -> Generated:
        """How it went. Raises the error that it ended with."""

    def close(self) -> None:
        """Gives the answer up."""


async def events(
    reply: Source, idle_s: float = IDLE_S, request_id: str = ""
) -> AsyncGenerator[Event | Generated | PenstockError | None, None]:
    """The events of a reply as they come, and as the last one its end. None: nothing happened for `idle_s` seconds.

    Never raises for the reply's sake. Abandoned, it closes the reply. `request_id` is for the log.
    """
    news: asyncio.Future[None] | None = None
    try:
        while True:
            while came := reply.take():
                for event in came:
                    yield event
            if reply.done:
                break
            if news is None or news.done():
                news = reply.news()
            if not (await asyncio.wait((news,), timeout=idle_s))[0]:
                yield None
        yield _end(reply, request_id)
    finally:
        reply.close()


def _end(reply: Source, request_id: str) -> Generated | PenstockError:
    """How the reply ended; what went wrong goes to the log, as it does where an error has a status."""
    try:
        return reply.generated()
    except PenstockError as error:
        if (error.status >= 500 or error.detail) and not isinstance(error, Cancelled):
            says = {"code": error.code, "reason": error.message, "detail": error.detail}
            log.error("stream_failed", request_id=request_id, **says)
        return error.with_traceback(None)
    except RuntimeError:
        return Internal("the model did not answer with text")


def sse(data: Any, event: str = "") -> bytes:
    """One server-sent event; `data` becomes JSON, which has no line breaks."""
    head = f"event: {event}\n".encode() if event else b""
    return b"%bdata: %b\n\n" % (head, data if isinstance(data, bytes) else _encode(data))


class Chunks(AsyncIterator[bytes]):
    """The bytes of a streamed reply. Closing them, or letting go of them, closes the reply, begun or not."""

    def __init__(self, reply: Source, chunks: AsyncGenerator[bytes, None]):
        self._reply = reply
        self._chunks = chunks

    async def __anext__(self) -> bytes:
        return await self._chunks.__anext__()

    async def aclose(self) -> None:
        """The client is gone, or has everything."""
        self._reply.close()
        await self._chunks.aclose()

    def __del__(self) -> None:
        # A client may leave before the first chunk is asked for; a generator that never ran has no end to clean up in.
        self._reply.close()


def streamed(
    reply: Source, chunks: AsyncGenerator[bytes, None], headers: Headers, content_type: bytes = EVENTS
) -> HttpResponse:
    """The response that streams a reply's chunks."""
    return HttpResponse(200, b"", content_type, [*UNBUFFERED, *headers], Chunks(reply, chunks))
