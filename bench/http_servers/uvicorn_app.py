"""Uvicorn, embedded in a loop of ours, through bare ASGI."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Generator
from typing import Any

import uvicorn
import uvloop

from bench.http_servers import work
from bench.http_servers.notes import Notes, counted

_JSON = (b"content-type", b"application/json")


class Server(uvicorn.Server):
    """Signals stay ours."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Capture none."""
        yield


class App:
    """The ASGI app."""

    def __init__(self) -> None:
        self.notes = Notes()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One exchange."""
        match scope["path"]:
            case "/infer":
                await _answer(send, work.infer(await _body(receive)))
            case "/count":
                await _answer(send, await _count(receive))
            case "/seen":
                await _answer(send, self.notes.as_json())
            case "/slow":
                await asyncio.sleep(work.SLOW_S)
                await _answer(send, b"{}")
            case "/wait":
                await self._wait(receive, send)
            case "/stream":
                await self._stream(receive, send)
            case _:
                await _answer(send, b"{}")

    async def _wait(self, receive: Any, send: Any) -> None:
        try:
            await asyncio.wait_for(_gone(receive), work.WAIT_S)
            self.notes.gone("wait")
        except TimeoutError:
            await _answer(send, b"{}")

    async def _stream(self, receive: Any, send: Any) -> None:
        gone = asyncio.ensure_future(_gone(receive))
        await send({"type": "http.response.start", "status": 200, "headers": [_JSON]})
        for _ in range(work.STREAM_PIECES):
            if gone.done():
                self.notes.gone("stream")
                return
            await send({"type": "http.response.body", "body": b"piece\n", "more_body": True})
            await asyncio.sleep(work.STREAM_EVERY_S)
        gone.cancel()


async def _answer(send: Any, body: bytes) -> None:
    headers = [_JSON, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _body(receive: Any) -> bytes:
    message = await receive()
    body: bytes = message["body"]
    while message.get("more_body"):
        message = await receive()
        body += message["body"]
    return body


async def _count(receive: Any) -> bytes:
    pieces = size = 0
    more = True
    while more:
        message = await receive()
        more = message.get("more_body", False)
        pieces, size = pieces + 1, size + len(message.get("body", b""))
    return counted(pieces, size)


async def _gone(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def main(port: int) -> None:
    """Serve until SIGTERM, which is ours to handle."""
    config = uvicorn.Config(
        App(),
        host="127.0.0.1",
        port=port,
        http="httptools",
        lifespan="off",
        log_level="critical",
        access_log=False,
    )
    server = Server(config)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, setattr, server, "should_exit", True)
    await server.serve()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
