"""Bodies of callers without a key: refused by their heads, before they take up memory."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from penstock.core.clock import system_clock
from penstock.protocols.http.asgi import asgi
from penstock.protocols.http.limits import HttpLimits
from penstock.protocols.http.routes import Routes
from penstock.protocols.openai.door import OpenAI
from penstock.routing.names import Names
from tests.protocols.doors import Doors
from tests.protocols.guards import Words, principal
from tests.protocols.scripted import Live, Scripted, live

LARGE = 32 * 2**20
KEYS = {"k": principal(["infer"]), "r": principal(["read"])}


@pytest.fixture(scope="module")
def served() -> Iterator[Live]:
    def mount(routes: Routes, models: Names) -> None:
        OpenAI(Scripted(), models, system_clock).mount(routes)

    with live(mount, guard=Words(KEYS)) as server:
        yield server


def told(server: Live, *lines: str) -> bytes:
    """What the server says after a head alone, without a byte of the body; nothing within half a second: nothing."""
    head = "\r\n".join(("POST /v1/chat/completions HTTP/1.1", "Host: x", *lines, "", ""))
    with closing(socket.create_connection(("127.0.0.1", server.port), timeout=10)) as sock:
        sock.sendall(head.encode())
        sock.settimeout(10 if "Expect" in head or "Bearer k" not in head else 0.5)
        try:
            return sock.recv(4096)
        except TimeoutError:
            return b""


@pytest.mark.parametrize("body", [f"Content-Length: {LARGE}", "Content-Length: 9", "Transfer-Encoding: chunked"])
def test_a_body_is_not_waited_for(served: Live, body: str) -> None:
    assert told(served, body).startswith(b"HTTP/1.1 401 ")
    assert told(served, body, "Authorization: Bearer wrong").startswith(b"HTTP/1.1 401 ")
    assert told(served, body, "Authorization: Bearer r").startswith(b"HTTP/1.1 403 ")
    assert told(served, body, "Expect: 100-continue").startswith(b"HTTP/1.1 401 ")
    assert b"x-request-id: " in told(served, body).lower()
    assert told(served, body, "Authorization: Bearer k") == b""
    assert told(served, body, "Authorization: Bearer k", "Expect: 100-continue").startswith(b"HTTP/1.1 100 ")


def test_a_large_body_with_a_key_comes_through(served: Live) -> None:
    text = {"model": "tiny", "messages": [{"role": "user", "content": "a" * 2**20}]}
    assert served.ask("POST", "/v1/chat/completions", text, Authorization="Bearer k")[0] == 200
    assert served.ask("POST", "/v1/chat/completions", text)[0] == 401


@pytest.mark.parametrize(
    ("headers", "reads", "status"),
    [
        ([(b"content-length", b"%d" % LARGE)], 0, 401),
        ([(b"transfer-encoding", b"chunked")], 0, 401),
        ([(b"content-length", b"1")], 1, 401),
        ([(b"content-length", b"%d" % LARGE), (b"x-api-key", b"r")], 0, 403),
    ],
)
def test_behind_an_asgi_server_neither(headers: list[tuple[bytes, bytes]], reads: int, status: int) -> None:
    sent: list[Any] = []
    read = 0

    async def receive() -> Any:
        nonlocal read
        read += 1
        if read > 1:
            await asyncio.sleep(3600)
        return {"type": "http.request", "body": b"{", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    async def nothing() -> None:
        pass

    app = asgi(Doors(guard=Words(KEYS)).http, HttpLimits(), nothing, nothing)
    scope = {"type": "http", "method": "POST", "path": "/models/iris/predict", "headers": headers}
    asyncio.run(app(scope, receive, send))
    assert sent[0]["status"] == status
    assert min(read, 1) == reads
