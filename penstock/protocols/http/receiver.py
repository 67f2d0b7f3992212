"""Receives a large body straight from the socket into its place: no parser, no chunks, no joins."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penstock.protocols.http.connection import Connection

LARGE = 64 * 2**10
"""Bytes from which a body of known length is worth a receiver."""


class BodyReceiver(asyncio.BufferedProtocol):
    """Stands in for the connection on its transport until exactly `length` bytes have come."""

    def __init__(self, connection: Connection, start: bytes, length: int):
        self._connection = connection
        self._body = bytearray(length)
        self._view = memoryview(self._body)
        self._view[: len(start)] = start
        self._at = len(start)
        _switch(connection.transport, self)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go."""
        return self._view[self._at :]

    def buffer_updated(self, nbytes: int) -> None:
        """So many bytes have come."""
        self._at += nbytes
        if self._at < len(self._body):
            self._connection.progress(self._at)
            return
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


def _switch(transport: asyncio.Transport, protocol: asyncio.BaseProtocol) -> None:
    """Hands the transport over; reading restarts, because the way of reading is chosen then."""
    transport.pause_reading()
    transport.set_protocol(protocol)
    transport.resume_reading()
