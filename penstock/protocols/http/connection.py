"""One HTTP/1.1 connection: bytes to requests, responses to bytes, within limits.

Parsing is llhttp's (httptools), which refuses ambiguous framing: two Content-Length, or one beside
Transfer-Encoding. Requests of one connection are answered in order, one at a time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

import httptools

from penstock.core.errors import BadInput, HeadTooLarge, PenstockError, SlowClient, TooLarge
from penstock.protocols.http import wire
from penstock.protocols.http.drive import Drive
from penstock.protocols.http.message import HttpRequest, HttpResponse
from penstock.protocols.http.receiver import LARGE, BodyReceiver
from penstock.protocols.http.streaming import Stream

if TYPE_CHECKING:
    from penstock.protocols.http.server import HttpServer

LINGER_S = 2.0


# What a connection waits for. Plain integers: they are compared several times per request.
IDLE, HEAD, BODY, BUSY, CLOSING = range(5)


class Connection(asyncio.Protocol):
    """Lives as long as its socket."""

    def __init__(self, server: HttpServer):
        self.server = server
        self.phase = HEAD
        self.since = server.now
        self.written = 0
        self.write_since = server.now
        self.transport: asyncio.Transport
        self.drive: Drive | None = None
        self.stream: Stream | None = None
        self._parser: Any = httptools.HttpRequestParser(self)
        self._waiting: deque[tuple[HttpRequest, bool]] = deque()
        self._pumping = False
        self._blocked = False
        self._keep_alive = True
        self._repeated = 0
        self._reset()

    def _reset(self) -> None:
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._body: bytes | list[bytes] = b""
        self._received = 0
        self._head_bytes = 0
        self._chunks = 0
        self._length = 0

    @property
    def has_bytes(self) -> bool:
        """Whether a part of a request has arrived."""
        return self._head_bytes > 0

    # --- bytes in

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.server.opened(self)

    def data_received(self, data: bytes) -> None:
        phase = self.phase
        if phase == CLOSING:
            return
        if phase <= HEAD:
            self._head_bytes += len(data)
            if phase == IDLE:
                self.phase = HEAD
                self.since = self.server.now
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._end_after_answers()
        except httptools.HttpParserCallbackError as error:
            self.refuse(error.__context__ if isinstance(error.__context__, PenstockError) else _malformed())
        except httptools.HttpParserError:
            self.refuse(_malformed())
        else:
            if self.phase <= HEAD and self._head_bytes > self.server.limits.head:
                self.refuse(_head_too_large(self.server.limits.head))
            elif phase == BUSY and self.phase == BUSY:
                self.transport.pause_reading()
            elif self._length >= LARGE and self.phase == BODY:
                BodyReceiver(self, self._joined_body(), self._length)

    def eof_received(self) -> bool:
        """A client that ends its side has gone, unless its answer is on the way out."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.phase = CLOSING
        self._waiting.clear()
        self.server.closed(self)
        if self.drive is not None:
            drive, self.drive = self.drive, None
            drive.close()
        if self.stream is not None:
            self.stream.cancel()

    # --- the parser's callbacks

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name in self._headers:
            value = self._headers[name] + b", " + value
            self._repeated += len(name) + 2
        self._headers[name] = value

    def on_headers_complete(self) -> None:
        headers, limits = self._headers, self.server.limits
        if self._head_bytes > limits.head and len(self._url) + _size(headers) + self._repeated > limits.head:
            raise _head_too_large(limits.head)
        self._repeated = 0
        if self.phase == HEAD:
            self.phase = BODY
        if b"content-length" in headers:
            self._length = int(headers[b"content-length"])
            if self._length > limits.body:
                raise _body_too_large(limits.body)
        if b"expect" in headers and headers[b"expect"].lower() == b"100-continue":
            self.transport.write(wire.CONTINUE)

    def on_chunk_header(self) -> None:
        self._chunks += 1
        if self._chunks > self.server.limits.chunks:
            raise TooLarge(f"the body has more than {self.server.limits.chunks} chunks; send larger ones")

    def on_body(self, data: bytes) -> None:
        self._received += len(data)
        if self._received > self.server.limits.body:
            raise _body_too_large(self.server.limits.body)
        if not self._body:
            self._body = data
        elif isinstance(self._body, bytes):
            self._body = [self._body, data]
        else:
            self._body.append(data)

    def on_message_complete(self) -> None:
        self._complete(self._joined_body())

    # --- large bodies, received beside the parser

    def progress(self, received: int) -> None:
        """So much of a large body has come."""
        self._received = received

    def body_received(self, body: bytearray) -> None:
        """A large body has come whole; the parser, which never saw it, starts anew."""
        parser, self._parser = self._parser, httptools.HttpRequestParser(self)
        self._complete(body, parser)

    def _joined_body(self) -> bytes:
        return self._body if isinstance(self._body, bytes) else b"".join(self._body)

    def _complete(self, body: bytes | bytearray, parser: Any = None) -> None:
        parser = parser or self._parser
        path, _, query = self._url.partition(b"?")
        request = HttpRequest(parser.get_method().decode(), path, query, self._headers, body)
        self._reset()
        self._waiting.append((request, parser.should_keep_alive()))
        if self.phase != BUSY:
            self._pump()

    # --- requests to responses

    def _pump(self) -> None:
        """Answers waiting requests in order, until one takes time."""
        if self._pumping:
            return
        self._pumping = True
        while self._waiting and not (self.drive or self.stream or self._blocked or self.phase == CLOSING):
            request, self._keep_alive = self._waiting.popleft()
            self.phase = BUSY
            drive = Drive(self.server.app(request), self._answered)
            if self.phase == BUSY and self.stream is None:
                self.drive = drive
        self._pumping = False

    def _answered(self, outcome: Any) -> None:
        self.drive = None
        if isinstance(outcome, HttpResponse):
            self._respond(outcome)
        else:
            self.server.broken(outcome)
            self.transport.abort()

    def _respond(self, response: HttpResponse) -> None:
        close = not self._keep_alive or self.server.draining
        if response.stream is not None:
            self.stream = Stream(self, response, close)
            return
        body = response.body
        self._write(wire.head(response, self.server.date, wire.body_length(body), close), body)
        self._next(close)

    def streamed(self, ok: bool, close: bool) -> None:
        """A stream has ended; a broken one takes the connection with it."""
        self.stream = None
        if ok:
            self._next(close)
        else:
            self.transport.abort()

    def _write(self, head: bytes, body: bytes | list[Any]) -> None:
        if isinstance(body, list):
            self.transport.writelines([head, *body])
        elif len(body) < 65536:
            self.transport.write(head + body)
        else:
            self.transport.writelines([head, body])

    def _next(self, close: bool) -> None:
        """After a response: the next request, or the end."""
        if close:
            self.phase = CLOSING
            self.transport.close()
            return
        self.phase = BODY if self._url else IDLE
        self.since = self.server.now
        self._go_on()

    def _go_on(self) -> None:
        """What waits is answered before more is read; a client that does not read is not served more."""
        if self._waiting:
            self._pump()
        elif not self._blocked and not self.transport.is_reading():
            self.transport.resume_reading()

    def _end_after_answers(self) -> None:
        """What follows is not ours to read: the requests before it are answered, then the connection ends."""
        self._parser = Deaf()
        if self._waiting:
            self._waiting.append((self._waiting.pop()[0], False))
        elif self.drive is not None or self.stream is not None:
            self._keep_alive = False
        else:
            self.phase = CLOSING
            self.transport.close()

    def refuse(self, error: PenstockError) -> None:
        """Answers a request that could not be read, then closes: its rest is unknown."""
        if self.phase == CLOSING:
            return
        if self.drive is not None or self.stream is not None or self._waiting:
            self._end_after_answers()
            return
        self.phase = CLOSING
        response = self.server.refusal(error)
        self._write(wire.head(response, self.server.date, wire.body_length(response.body), True), response.body)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        asyncio.get_running_loop().call_later(LINGER_S, self.transport.abort)

    # --- time

    def sweep(self, now: float) -> None:
        """Once a second: closes what waits too long for its client."""
        limits, waited = self.server.limits, now - self.since
        if self.phase == IDLE and waited > limits.idle_s:
            self.transport.close()
        elif self.phase == HEAD and waited > limits.head_s:
            if self._head_bytes:
                self.refuse(SlowClient("the request's headers came too slowly"))
            else:
                self.transport.close()
        elif self.phase == BODY and waited > limits.body_grace_s + self._received / limits.body_rate:
            self.refuse(SlowClient("the request's body came too slowly"))
        self._sweep_writes(now)

    def _sweep_writes(self, now: float) -> None:
        pending = self.transport.get_write_buffer_size()
        if pending == 0 or pending != self.written:
            self.written = pending
            self.write_since = now
        elif now - self.write_since > self.server.limits.write_stall_s:
            self.transport.abort()

    def pause_writing(self) -> None:
        self._blocked = True
        if self.stream is not None:
            self.stream.pause()
        else:
            self.transport.pause_reading()

    def resume_writing(self) -> None:
        self._blocked = False
        if self.stream is not None:
            self.stream.resume()
        elif self.drive is None and self.phase != CLOSING:
            self._go_on()


class Deaf:
    """The parser of a connection that reads no more."""

    def feed_data(self, data: bytes) -> None:
        """Nothing."""


def _size(headers: dict[bytes, bytes]) -> int:
    return sum(len(name) + len(value) + 4 for name, value in headers.items())


def _malformed() -> BadInput:
    return BadInput("the request is not valid HTTP/1.1")


def _head_too_large(limit: int) -> HeadTooLarge:
    return HeadTooLarge(f"the request line and headers are over {limit} bytes")


def _body_too_large(limit: int) -> TooLarge:
    return TooLarge(f"the body is over {limit} bytes; send less, or raise http.limits.body")
