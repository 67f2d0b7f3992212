"""Receives a large body straight from the socket into its place: no parser, no chunks, no joins."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from penstock.core.errors import Overloaded

if TYPE_CHECKING:
    from penstock.protocols.http.connection import Connection

LARGE = 64 * 2**10
"""Bytes from which a body of known length is worth a receiver."""
FIRST = 2**20
"""Bytes that a receiver takes before they have come: a length that is only claimed costs no more."""


class BodyReceiver(asyncio.BufferedProtocol):
    """Stands in for the connection on its transport until exactly `length` bytes have come."""

    def __init__(self, connection: Connection, start: bytes, length: int):
        self._connection = connection
        self._length = length
        self._at = len(start)
        self._body = bytearray(min(length, max(FIRST, len(start))))
        self._body[: len(start)] = start
        self._view = memoryview(self._body)
        if connection.hold(len(self._body)):
            _switch(connection.transport, self)
        else:
            connection.refuse(_too_many())

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go."""
        if self._at == len(self._body):
            self._grow()
        return self._view[self._at :]

    def _grow(self) -> None:
        """Twice the room, when so much memory may be taken; else what comes is thrown away."""
        more = min(len(self._body), self._length - len(self._body))
        self._view.release()
        if self._connection.hold(more):
            self._body.extend(bytes(more))
        else:
            self._connection.refuse(_too_many())
            self._at = 0
        self._view = memoryview(self._body)

    def buffer_updated(self, nbytes: int) -> None:
        """So many bytes have come."""
        if self._connection.closing:
            return
        self._at += nbytes
        self._connection.progress(self._at)
        if self._at == self._length:
            self._view.release()
            _switch(self._connection.transport, self._connection)
            self._connection.body_received(self._body)

    def eof_received(self) -> bool:
        """The client gave up in the middle."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.connection_lost(exc)

    def pause_writing(self) -> None:
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        self._connection.resume_writing()


def _too_many() -> Overloaded:
    return Overloaded("the server holds as many large bodies as it may; try again shortly")


def _switch(transport: asyncio.Transport, protocol: asyncio.BaseProtocol) -> None:
    """Hands the transport over; reading restarts, because the way of reading is chosen then."""
    transport.pause_reading()
    transport.set_protocol(protocol)
    transport.resume_reading()
