"""Granian, embedded in a loop of ours, through RSGI."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import Any

import uvloop
from granian.server.embed import Server

from bench.http_servers import work
from bench.http_servers.notes import Notes, counted

_JSON = [("content-type", "application/json")]


class App:
    """An RSGI app is an object: embedded Granian takes no bare function."""

    def __init__(self) -> None:
        self.notes = Notes()

    async def __rsgi__(self, scope: Any, proto: Any) -> None:
        """One exchange."""
        match scope.path:
            case "/infer":
                proto.response_bytes(200, _JSON, work.infer(await proto()))
            case "/count":
                proto.response_bytes(200, _JSON, await _count(proto))
            case "/seen":
                proto.response_bytes(200, _JSON, self.notes.as_json())
            case "/slow":
                await asyncio.sleep(work.SLOW_S)
                proto.response_bytes(200, _JSON, b"{}")
            case "/wait":
                await self._wait(proto)
            case "/stream":
                await self._stream(proto)
            case _:
                proto.response_bytes(200, _JSON, b"{}")

    async def _wait(self, proto: Any) -> None:
        try:
            await asyncio.wait_for(proto.client_disconnect(), work.WAIT_S)
            self.notes.gone("wait")
        except TimeoutError:
            proto.response_bytes(200, _JSON, b"{}")

    async def _stream(self, proto: Any) -> None:
        gone = asyncio.ensure_future(proto.client_disconnect())
        transport = proto.response_stream(200, _JSON)
        for _ in range(work.STREAM_PIECES):
            if gone.done():
                self.notes.gone("stream")
                return
            await transport.send_bytes(b"piece\n")
            await asyncio.sleep(work.STREAM_EVERY_S)
        gone.cancel()


async def _count(proto: Any) -> bytes:
    sizes = [len(piece) async for piece in proto]
    return counted(len(sizes), sum(sizes))


async def main(port: int) -> None:
    """Serve until SIGTERM, which is ours to handle."""
    server = Server(App(), address="127.0.0.1", port=port, interface="rsgi", log_enabled=False)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.stop)
    await server.serve()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
