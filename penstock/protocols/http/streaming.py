"""Sends a streamed response, no faster than its client reads."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from penstock.protocols.http import wire
from penstock.protocols.http.message import HttpResponse

if TYPE_CHECKING:
    from penstock.protocols.http.connection import Connection


class Stream:
    """One response on its way; cancelling it closes its source."""

    def __init__(self, connection: Connection, response: HttpResponse, close: bool):
        self._connection = connection
        self._close = close
        self._writable = asyncio.Event()
        self._writable.set()
        self._task = asyncio.get_running_loop().create_task(self._run(response))

    def pause(self) -> None:
        """The client reads too slowly."""
        self._writable.clear()

    def resume(self) -> None:
        """The client has caught up."""
        self._writable.set()

    def cancel(self) -> None:
        """The client is gone."""
        self._task.cancel()

    async def _run(self, response: HttpResponse) -> None:
        connection, source = self._connection, response.stream
        assert source is not None
        connection.transport.write(wire.head(response, connection.server.date, None, self._close))
        ok = False
        try:
            async for data in source:
                if data:
                    connection.transport.write(wire.chunk(data))
                await self._writable.wait()
            connection.transport.write(wire.LAST_CHUNK)
            ok = True
        except Exception as error:
            connection.server.broken(error)
        finally:
            if aclose := getattr(source, "aclose", None):
                await aclose()
            connection.streamed(ok, self._close)
