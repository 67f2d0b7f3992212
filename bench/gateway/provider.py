"""A provider that costs next to nothing: `python -m bench.gateway.provider PORT`.

It answers at once, with the same bytes every time, whole or as a stream. Who asks for a stream "slowly" gets it in
pieces, each with the moment at which it was sent: the clock of all processes of a machine is one, so whoever reads a
piece knows how long it was under way.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import cast

import uvloop

PIECES, GAP_S = 30, 0.1
_CHUNK = (
    'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"gpt","choices":[{"index":0,"delta":'
    '{"content":"%s "},"finish_reason":null}]}\n\n'
)
_BODY = (
    b'{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"gpt","choices":[{"index":0,"message":'
    b'{"role":"assistant","content":"Hello! How can I help you today?"},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":9,"completion_tokens":9,"total_tokens":18}}'
)
_WHOLE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(_BODY), _BODY)
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_SAID = "".join(_CHUNK % word for word in ["Hello!", "How", "can", "I", "help", "you", "today?"]).encode()
_LAST = (
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"gpt","choices":[{"index":0,"delta":{},'
    b'"finish_reason":"stop"}]}\n\n'
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"gpt","choices":[],'
    b'"usage":{"prompt_tokens":9,"completion_tokens":30,"total_tokens":39}}\n\ndata: [DONE]\n\n'
)
_AT_ONCE = b"%s%x\r\n%s\r\n0\r\n\r\n" % (_HEAD, len(_SAID) + len(_LAST), _SAID + _LAST)


class Exchange(asyncio.Protocol):
    """One connection: requests with a Content-Length, one after the other."""

    def __init__(self) -> None:
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Answers every request that is whole."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            size = end + 4 + _length(self._buffer[:end])
            if len(self._buffer) < size:
                return
            request, self._buffer = self._buffer[:size], self._buffer[size:]
            self._answer(request)

    def _answer(self, request: bytes) -> None:
        assert self._transport is not None
        if b'"stream":true' not in request and b'"stream": true' not in request:
            self._transport.write(_WHOLE)
        elif b"slowly" in request:
            self._transport.write(_HEAD)
            self._piece(PIECES)
        else:
            self._transport.write(_AT_ONCE)

    def _piece(self, left: int) -> None:
        assert self._transport is not None
        if self._transport.is_closing():
            return
        if not left:
            self._transport.write(_chunked(_LAST) + b"0\r\n\r\n")
            return
        self._transport.write(_chunked((_CHUNK % f"@{time.monotonic_ns()}").encode()))
        asyncio.get_running_loop().call_later(GAP_S, self._piece, left - 1)


def _chunked(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line[15:])
    return 0


async def serve(port: int) -> None:
    """Until it is ended."""
    server = await asyncio.get_running_loop().create_server(Exchange, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
