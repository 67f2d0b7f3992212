"""Penstock's own connection class on llhttp and uvloop: the one that `penstock serve` runs."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator

import uvloop

from bench.http_servers import work
from bench.http_servers.notes import Notes, counted
from penstock.core.errors import PenstockError
from penstock.protocols.http.limits import HttpLimits
from penstock.protocols.http.message import HttpRequest, HttpResponse
from penstock.protocols.http.server import HttpServer


class App:
    """The app in the shape that Penstock's protocols are written against."""

    def __init__(self) -> None:
        self.notes = Notes()

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        """One exchange."""
        match request.path:
            case b"/infer":
                return HttpResponse(200, work.infer(request.body))
            case b"/count":
                return HttpResponse(200, counted(1, len(request.body)))
            case b"/seen":
                return HttpResponse(200, self.notes.as_json())
            case b"/slow":
                await asyncio.sleep(work.SLOW_S)
            case b"/wait":
                await self._wait()
            case b"/stream":
                return HttpResponse(200, stream=self._stream())
        return HttpResponse(200, b"{}")

    async def _wait(self) -> None:
        try:
            await asyncio.sleep(work.WAIT_S)
        except GeneratorExit:
            self.notes.gone("wait")
            raise

    async def _stream(self) -> AsyncIterator[bytes]:
        try:
            for _ in range(work.STREAM_PIECES):
                yield b"piece\n"
                await asyncio.sleep(work.STREAM_EVERY_S)
        except (GeneratorExit, asyncio.CancelledError):
            self.notes.gone("stream")
            raise


def _refusal(error: PenstockError, path: bytes) -> HttpResponse:
    return HttpResponse(error.status, b"{}")


async def main(port: int) -> None:
    """Serve until SIGTERM, then drain."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    server = HttpServer(App(), HttpLimits(), _refusal, lambda error: print(repr(error), file=sys.stderr))
    await server.start("127.0.0.1", port)
    await stop.wait()
    server.stop_listening()
    await server.drain(10)


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
