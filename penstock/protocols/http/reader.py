"""From a connection's bytes to whole requests, within limits.

Parsing is llhttp's (httptools), which refuses ambiguous framing: two Content-Length, or one beside
Transfer-Encoding. Clients that keep a connection send the same head again and again: a head that
llhttp has read once, byte for byte, is not read a second time (`KnownHeads`).
"""

from __future__ import annotations

import re
from collections import deque
from typing import Any, NamedTuple

import httptools

from penstock.core.errors import BadInput, HeadTooLarge, PenstockError, TooLarge
from penstock.protocols.http.limits import HttpLimits
from penstock.protocols.http.message import HttpRequest

END = b"\r\n\r\n"
CHUNK_FRAME = 32
"""Bytes around a chunk: its size in hexadecimal and two line ends."""
# An offer of HTTP/2 (Java's client makes one with every first request) may be ignored (RFC 9110, 7.8);
# llhttp would take the body for the other protocol.
_UPGRADE = re.compile(rb"(?im)^upgrade:[^\r\n]*\r\n")


class Upgrade(Exception):
    """The client asked for another protocol; what follows is not HTTP/1.1."""


class Known(NamedTuple):
    """What a head says, when its body is of known length and the connection stays open."""

    method: str
    path: bytes
    query: bytes
    headers: dict[bytes, bytes]
    length: int


class KnownHeads:
    """Heads by their bytes, for all connections; forgets everything when full."""

    MAX_BYTES = 2048
    CAPACITY = 256
    # Heads that ask for more than reading the body.
    UNUSUAL = (b"expect", b"transfer-encoding", b"upgrade", b"connection")

    def __init__(self) -> None:
        self.by_bytes: dict[bytes, Known] = {}

    def remember(self, head: bytes, request: HttpRequest) -> None:
        """Keeps a head that the parser has just read without complaint."""
        headers = request.headers
        if len(head) > self.MAX_BYTES or any(name in headers for name in self.UNUSUAL):
            return
        if len(self.by_bytes) >= self.CAPACITY:
            self.by_bytes.clear()
        length = int(headers.get(b"content-length", b"0"))
        self.by_bytes[head] = Known(request.method, request.path, request.query, headers, length)


class RequestReader:
    """Feeds bytes to the parser; whole requests, each with whether to keep the connection, go to `ready`.

    `begun`: a part of a request has come; `in_body`: its head is whole; `length`: of its body, when said; `judged`:
    somebody has looked at the head before the body.
    """

    def __init__(self, limits: HttpLimits, heads: KnownHeads):
        self.ready: deque[tuple[HttpRequest, bool]] = deque()
        self._limits = limits
        self._heads = heads
        self._parser: Any = httptools.HttpRequestParser(self)
        self._reset()

    def _reset(self) -> None:
        self.begun = self.in_body = self.expects = self.judged = False
        self.length = self.received = 0
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._body: bytes | list[bytes] = b""
        self._head_bytes = self._repeated = self._chunks = 0
        self._framing = self._trailers = 0

    def feed(self, data: bytes) -> None:
        """Reads bytes. Raises `BadInput` for what is no HTTP/1.1 or over a limit, `Upgrade` at its end."""
        fresh = not self.begun
        end = data.find(END) + len(END) if fresh else 0
        if end > len(END):
            known = self._heads.by_bytes.get(data[:end])
            if known is not None and len(data) - end == known.length:
                request = HttpRequest(known.method, known.path, known.query, known.headers, data[end:])
                self.ready.append((request, True))
                return
            if b"pgrade:" in data[:end]:
                data = _UPGRADE.sub(b"", data[:end]) + data[end:]
                end = data.find(END) + len(END)
        ready = len(self.ready)
        self._parse(data)
        if end > len(END) and not self.begun and len(self.ready) == ready + 1 and self.ready[-1][1]:
            request = self.ready[-1][0]
            if len(request.body) == len(data) - end:
                self._heads.remember(data[:end], request)

    def _parse(self, data: bytes) -> None:
        if self.in_body:
            self._framing += len(data)
        else:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            raise Upgrade from None
        except httptools.HttpParserCallbackError as error:
            cause = error.__context__
            raise cause if isinstance(cause, PenstockError) else _malformed() from None
        except httptools.HttpParserError:
            raise _malformed() from None
        if self.begun and not self.in_body and self._head_bytes > self._limits.head:
            raise self._head_too_large()
        if self._framing - self.received > self._limits.head + CHUNK_FRAME * self._chunks:
            raise self._head_too_large()  # a chunk extension or a trailer without end

    @property
    def path(self) -> bytes:
        """The path of the request that is being read, as far as it has come."""
        return self._url.partition(b"?")[0]

    def body_received(self, body: bytearray) -> None:
        """A large body has come beside the parser, which never saw it and starts anew."""
        self._complete(body)
        self._parser = httptools.HttpRequestParser(self)

    def body_so_far(self) -> bytes:
        """The part of the body that has come."""
        return self._body if isinstance(self._body, bytes) else b"".join(self._body)

    def head(self, body: bytes | bytearray = b"") -> HttpRequest:
        """The request whose head has come, with so much of a body."""
        path, _, query = self._url.partition(b"?")
        return HttpRequest(self._parser.get_method().decode(), path, query, self._headers, body)

    def _complete(self, body: bytes | bytearray) -> None:
        parser, request = self._parser, self.head(body)
        # HTTP/1.0 is answered and closed: its way to keep a connection needs a header that nobody misses.
        keep = parser.should_keep_alive() and parser.get_http_version() != "1.0"
        self.ready.append((request, keep))
        self._reset()

    # --- the parser's callbacks

    def on_message_begin(self) -> None:
        self.begun = True

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if self.in_body:
            # A trailer: it comes after the head was judged, so it never becomes a header.
            self._trailers += len(name) + len(value) + 4
            if self._trailers > self._limits.head:
                raise self._head_too_large()
            return
        if name in self._headers:
            value = self._headers[name] + b", " + value
            self._repeated += len(name) + 2
        self._headers[name] = value

    def on_headers_complete(self) -> None:
        headers, limits = self._headers, self._limits
        if self._head_bytes > limits.head and len(self._url) + _size(headers) + self._repeated > limits.head:
            raise self._head_too_large()
        self.in_body = True
        if b"content-length" in headers:
            self.length = int(headers[b"content-length"])
            if self.length > limits.body:
                raise self._body_too_large()
        self.expects = headers.get(b"expect", b"").lower() == b"100-continue"

    def on_chunk_header(self) -> None:
        self._chunks += 1
        if self._chunks > self._limits.chunks:
            raise TooLarge(f"the body has more than {self._limits.chunks} chunks; send larger ones")

    def on_body(self, data: bytes) -> None:
        self.received += len(data)
        if self.received > self._limits.body:
            raise self._body_too_large()
        if not self._body:
            self._body = data
        elif isinstance(self._body, bytes):
            self._body = [self._body, data]
        else:
            self._body.append(data)

    def on_message_complete(self) -> None:
        self._complete(self.body_so_far())

    # --- refusals

    def _head_too_large(self) -> HeadTooLarge:
        return HeadTooLarge(f"the request line and headers are over {self._limits.head} bytes")

    def _body_too_large(self) -> TooLarge:
        return TooLarge(f"the body is over {self._limits.body} bytes; send less, or raise http.limits.body")


def _size(headers: dict[bytes, bytes]) -> int:
    return sum(len(name) + len(value) + 4 for name, value in headers.items())


def _malformed() -> BadInput:
    return BadInput("the request is not valid HTTP/1.1")
