"""The listener: sockets, time, and drain. The connections do the talking."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

from penstock.core.errors import ConfigError, PenstockError, Unavailable
from penstock.protocols.http.connection import Connection
from penstock.protocols.http.limits import HttpLimits
from penstock.protocols.http.message import App, HttpRequest, HttpResponse
from penstock.protocols.http.reader import KnownHeads

SWEEP_S = 1.0
SPARE_DESCRIPTORS = 64


def _welcome(_: HttpRequest) -> PenstockError | None:
    """Every body may come."""
    return None


class HttpServer:
    """Serves one app on one address.

    `refusal` turns an error on a request that could not be read, and its path, into a response; `broken` is told
    of exceptions that no request should cause. `turn_away` says of a request whose body is still to come why it is not
    wanted (None: it is).
    """

    def __init__(
        self,
        app: App,
        limits: HttpLimits,
        refusal: Callable[[PenstockError, bytes], HttpResponse],
        broken: Callable[[BaseException], None],
        turn_away: Callable[[HttpRequest], PenstockError | None] = _welcome,
    ):
        self.app: Any = app
        self.limits = limits
        self.refusal = refusal
        self.broken = broken
        self.turn_away = turn_away
        self.heads = KnownHeads()
        self.bodies = 0
        self.draining = False
        self.now = 0.0
        self.date = b""
        self.port = 0
        self._connections: set[Connection] = set()
        self._capacity = limits.connections
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None

    async def start(self, host: str, port: int) -> None:
        """Binds and listens. Raises `ConfigError` naming the port when it is in use."""
        loop = asyncio.get_running_loop()
        self._capacity = max(1, min(self.limits.connections, descriptor_limit() - SPARE_DESCRIPTORS))
        self._tick()
        try:
            self._server = await loop.create_server(lambda: Connection(self), host, port, backlog=2048)
        except OSError as error:
            raise ConfigError(_cannot_listen(host, port, error)) from error
        self.port = self._server.sockets[0].getsockname()[1]

    def stop_listening(self) -> None:
        """New connections are refused by the system from now on."""
        if self._server is not None:
            self._server.close()

    async def drain(self, patience_s: float) -> None:
        """Lets requests under way finish, closes idle connections, then everything."""
        self.draining = True
        loop = asyncio.get_running_loop()
        until = loop.time() + patience_s
        while self._connections and loop.time() < until:
            for connection in list(self._connections):
                if connection.idle:
                    connection.transport.close()
            await asyncio.sleep(0.02)
        self.abort()

    def abort(self) -> None:
        """Closes every connection now."""
        self.stop_listening()
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in list(self._connections):
            connection.transport.abort()

    # --- what connections report

    def opened(self, connection: Connection) -> None:
        """A client has connected; over capacity it is told to come back."""
        self._connections.add(connection)
        if len(self._connections) > self._capacity:
            connection.refuse(Unavailable(f"the server has {self._capacity} connections; try again shortly"))

    def closed(self, connection: Connection) -> None:
        """A connection is gone."""
        self._connections.discard(connection)

    def _tick(self) -> None:
        """Once a second: the coarse clock, the Date header, and slow clients."""
        loop = asyncio.get_running_loop()
        self.now = loop.time()
        self.date = formatdate(usegmt=True).encode()
        for connection in list(self._connections):
            connection.sweep(self.now)
        self._sweeper = loop.call_later(SWEEP_S, self._tick)


def _cannot_listen(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is in use; choose another with --port, or --port 0 for any free one"
    return f"cannot listen on {host} port {port}: {os.strerror(error.errno) if error.errno else error}"


def descriptor_limit() -> int:
    """How many files this process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft if soft != resource.RLIM_INFINITY else 1_000_000
