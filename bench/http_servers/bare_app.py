"""The floor under our own connection class: the same parser and loop, with no limit and no feature at all."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import httptools
import uvloop

from bench.http_servers import work

_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"


class Connection(asyncio.Protocol):
    """Answers every request with an inference."""

    def connection_made(self, transport: Any) -> None:
        """A client."""
        self.transport = transport
        self.parser = httptools.HttpRequestParser(self)
        self.body = b""

    def data_received(self, data: bytes) -> None:
        """Bytes."""
        self.parser.feed_data(data)

    def on_body(self, data: bytes) -> None:
        """A part of the body."""
        self.body += data

    def on_message_complete(self) -> None:
        """A whole request."""
        body, self.body = self.body, b""
        answer = work.infer(body) if body else b"{}"
        self.transport.write(_HEAD % (len(answer), answer))


async def main(port: int) -> None:
    """Serve until killed."""
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
