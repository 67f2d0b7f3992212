"""One HTTP/1.1 connection: its requests are answered in order, one at a time, until either side ends it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from penstock.core.errors import PenstockError, SlowClient
from penstock.protocols.http import wire
from penstock.protocols.http.drive import Drive
from penstock.protocols.http.message import HttpResponse
from penstock.protocols.http.reader import RequestReader, Upgrade
from penstock.protocols.http.receiver import LARGE, BodyReceiver
from penstock.protocols.http.streaming import Stream

if TYPE_CHECKING:
    from penstock.protocols.http.server import HttpServer

LINGER_S = 2.0
JOIN = 65_536
"""Bytes up to which head and body go out as one piece."""


class Connection(asyncio.Protocol):
    """Lives as long as its socket.

    `busy`: a request is being answered. `closing`: nothing more is read or answered. `since`: when
    it began to wait for what it waits for now.
    """

    def __init__(self, server: HttpServer):
        self.server = server
        self.transport: asyncio.Transport
        self.busy = self.closing = False
        self.since = self._write_since = self._write_began = server.now
        self._reader = RequestReader(server.limits, server.heads)
        self._drive: Drive | None = None
        self._stream: Stream | None = None
        self._pumping = self._blocked = self._deaf = self._served = False
        self._keep_alive = True
        self._unwritten = self._write_size = 0
        self._held = 0

    @property
    def idle(self) -> bool:
        """Whether it neither answers nor reads a request."""
        return not (self.busy or self.closing or self._reader.begun or self._reader.ready)

    # --- bytes in

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.server.opened(self)

    def data_received(self, data: bytes) -> None:
        if self.closing or self._deaf:
            return
        reader = self._reader
        if not (self.busy or reader.begun):
            self.since = self.server.now
        try:
            reader.feed(data)
        except Upgrade:
            self._end_after_answers()
        except PenstockError as error:
            self.refuse(error)
        else:
            if self.busy:
                self.transport.pause_reading()
            elif reader.ready:
                self._pump()
            elif reader.in_body:
                self._body_begins()

    def _body_begins(self) -> None:
        reader = self._reader
        if not reader.judged:
            reader.judged = True
            if (error := self.server.turn_away(reader.head())) is not None:
                self.refuse(error)
                return
        if reader.expects:
            reader.expects = False
            self.transport.write(wire.CONTINUE)
        if reader.length >= LARGE:
            BodyReceiver(self, reader.body_so_far(), reader.length)

    def hold(self, nbytes: int) -> bool:
        """Counts memory for a large body, until its answer is out; False when there is too much of it."""
        if self.server.bodies + nbytes > self.server.limits.bodies:
            return False
        self.server.bodies += nbytes
        self._held += nbytes
        return True

    def _let_go(self) -> None:
        self.server.bodies -= self._held
        self._held = 0

    def progress(self, received: int) -> None:
        """So much of a large body has come."""
        self._reader.received = received

    def body_received(self, body: bytearray) -> None:
        """A large body has come whole."""
        if not self.closing:
            self._reader.body_received(body)
            self._pump()

    def eof_received(self) -> bool:
        """A client that ends its side has gone."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.closing = True
        self._reader.ready.clear()
        self._let_go()
        self.server.closed(self)
        if self._drive is not None:
            drive, self._drive = self._drive, None
            drive.close()
        if self._stream is not None:
            self._stream.cancel()

    # --- requests to responses

    def _pump(self) -> None:
        """Answers waiting requests in order, until one takes time."""
        if self._pumping:
            return
        self._pumping = True
        ready = self._reader.ready
        while ready and not (self.busy or self._blocked or self.closing):
            request, self._keep_alive = ready.popleft()
            self.busy = True
            drive = Drive(self.server.app(request), self._answered)
            if self.busy and self._stream is None:
                self._drive = drive
        self._pumping = False

    def _answered(self, outcome: Any) -> None:
        self._drive = None
        if isinstance(outcome, HttpResponse):
            self._respond(outcome)
        else:
            self.server.broken(outcome)
            self.transport.abort()

    def _respond(self, response: HttpResponse) -> None:
        close = not self._keep_alive or self.server.draining
        if response.stream is not None:
            self._stream = Stream(self, response, close)
            return
        body = response.body
        self._write(wire.head(response, self.server.date, wire.body_length(body), close), body)
        self._next(close)

    def streamed(self, ok: bool, close: bool) -> None:
        """A stream has ended; a broken one takes the connection with it."""
        self._stream = None
        if ok:
            self._next(close)
        else:
            self.transport.abort()

    def _write(self, head: bytes, body: bytes | list[Any]) -> None:
        if isinstance(body, list):
            self.transport.writelines([head, *body])
        elif len(body) < JOIN:
            self.transport.write(head + body)
        else:
            self.transport.writelines([head, body])

    def _next(self, close: bool) -> None:
        """After a response: the next request, or the end."""
        self.busy = False
        self._served = True
        if self._held:
            self._let_go()
        if close:
            self.closing = True
            self.transport.close()
            return
        self.since = self.server.now
        self._go_on()

    def _go_on(self) -> None:
        """What waits is answered before more is read; a client that does not read is not served more."""
        if self._reader.ready:
            self._pump()
        elif not self._blocked and not self.transport.is_reading():
            self.transport.resume_reading()

    # --- the end

    def _end_after_answers(self) -> None:
        """What follows is not ours to read: the requests before it are answered, then the connection ends."""
        self._deaf = True
        ready = self._reader.ready
        if ready:
            ready.append((ready.pop()[0], False))
            self._pump()
        elif self.busy:
            self._keep_alive = False
        else:
            self.closing = True
            self.transport.close()

    def refuse(self, error: PenstockError) -> None:
        """Answers a request that could not be read, then closes: its rest is unknown."""
        if self.closing:
            return
        if self.busy or self._reader.ready:
            self._end_after_answers()
            return
        self.closing = True
        response = self.server.refusal(error, self._reader.path)
        self._write(wire.head(response, self.server.date, wire.body_length(response.body), True), response.body)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        asyncio.get_running_loop().call_later(LINGER_S, self.transport.abort)

    # --- time

    def sweep(self, now: float) -> None:
        """Once a second: closes what waits too long for its client."""
        self._sweep_writes(now)
        if self.busy or self.closing:
            return
        limits, reader, waited = self.server.limits, self._reader, now - self.since
        if not reader.begun:
            if waited > (limits.idle_s if self._served else limits.head_s):
                self.transport.close()
        elif not reader.in_body:
            if waited > limits.head_s:
                self.refuse(SlowClient("the request's headers came too slowly"))
        elif waited > limits.body_grace_s + reader.received / limits.body_rate:
            self.refuse(SlowClient("the request's body came too slowly"))

    def _sweep_writes(self, now: float) -> None:
        """Ends a client that reads nothing for long, or too slowly; more to write begins the count anew."""
        limits, pending = self.server.limits, self.transport.get_write_buffer_size()
        if pending == 0 or pending > self._unwritten:
            self._write_began, self._write_size = now, pending
        if pending == 0 or pending != self._unwritten:
            self._unwritten, self._write_since = pending, now
        taken = self._write_size - pending
        stalled = now - self._write_since > limits.write_stall_s
        if stalled or now - self._write_began > limits.write_stall_s + taken / limits.write_rate:
            self.transport.abort()

    def pause_writing(self) -> None:
        self._blocked = True
        if self._stream is not None:
            self._stream.pause()
        else:
            self.transport.pause_reading()

    def resume_writing(self) -> None:
        self._blocked = False
        if self._stream is not None:
            self._stream.resume()
        elif not (self.busy or self.closing):
            self._go_on()
