"""The ASGI callable behind a real uvicorn on a real socket."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvicorn

from penstock.core.reply import Meta, Reply
from penstock.core.request import Request
from penstock.core.tensors import Tensor
from penstock.protocols.http.asgi import asgi, joined, path_below
from penstock.protocols.http.limits import HttpLimits
from penstock.protocols.http.message import HttpRequest, HttpResponse
from tests.protocols.doors import Doors

LIMITS = HttpLimits(body=100_000)
ROWS = json.dumps({"inputs": [[1, 2, 3, 4]]}).encode()


class Life:
    """What the lifespan did, and what the doors saw."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.closed = threading.Event()
        self.waiting = threading.Event()

    async def start(self) -> None:
        self.events.append("start")

    async def stop(self) -> None:
        self.events.append("stop")


@contextmanager
def behind_uvicorn(app: Any, **settings: Any) -> Iterator[int]:
    """Serves an ASGI app on a port of its own, in a thread."""
    sock = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", **settings))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([sock])))
    thread.start()
    try:
        until = time.monotonic() + 20
        while not server.started and thread.is_alive() and time.monotonic() < until:
            time.sleep(0.01)
        assert server.started
        yield sock.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(20)
        sock.close()


def ask(port: int, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, bytes, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    answer = response.status, response.read(), {name.lower(): value for name, value in response.getheaders()}
    connection.close()
    return answer


@pytest.fixture
def life() -> Life:
    return Life()


@pytest.fixture
def doors() -> Doors:
    return Doors(limits=LIMITS, answer=lambda tensors: {"label": Tensor.of([7] * len(tensors["X"].array))})


def test_answers_through_every_door_and_runs_the_lifespan(doors: Doors, life: Life) -> None:
    with behind_uvicorn(asgi(doors.http, LIMITS, life.start, life.stop)) as port:
        assert life.events == ["start"]
        status, answer, headers = ask(port, "POST", "/models/iris/predict", ROWS, **{"X-Request-Id": "mine"})
        assert (status, json.loads(answer)["outputs"], headers["x-request-id"]) == (200, [7], "mine")
        assert ask(port, "GET", "/v2/health/live")[:2] == (200, b'{"live":true}')
        status, answer, headers = ask(port, "HEAD", "/openapi.json")
        assert (status, answer) == (200, b"")
        assert ask(port, "GET", "/nowhere")[0] == 404
        assert ask(port, "PUT", "/livez")[2]["allow"] == "GET"
    assert life.events == ["start", "stop"]


def test_a_body_over_the_limit_is_refused_declared_or_chunked(doors: Doors, life: Life) -> None:
    with behind_uvicorn(asgi(doors.http, LIMITS, life.start, life.stop)) as port:
        assert ask(port, "POST", "/predict", b"x" * 100_001)[0] == 413
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("POST", "/predict", iter([b"x" * 60_000, b"x" * 60_000]), encode_chunked=True)
        assert connection.getresponse().status == 413
        connection.close()
        assert ask(port, "POST", "/predict", ROWS)[0] == 200
    assert len(doors.echo.requests) == 1


def test_a_client_that_leaves_while_it_waits_abandons_its_request(life: Life) -> None:
    reply = Reply(Meta("iris", "1"), on_close=life.closed.set)

    async def never(request: Request) -> Reply:
        life.waiting.set()
        return reply

    doors = Doors(limits=LIMITS, handler=never)
    with behind_uvicorn(asgi(doors.http, LIMITS, life.start, life.stop)) as port:
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.sendall(
                b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b" % (len(ROWS), ROWS)
            )
            assert life.waiting.wait(10)
            assert not life.closed.is_set()
        assert life.closed.wait(10)
        assert ask(port, "GET", "/livez")[0] == 200


def test_a_client_that_leaves_before_its_body_ends_causes_no_work(doors: Doors, life: Life) -> None:
    with behind_uvicorn(asgi(doors.http, LIMITS, life.start, life.stop)) as port:
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.sendall(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n%b" % ROWS)
            time.sleep(0.1)
        assert ask(port, "GET", "/livez")[0] == 200
    assert doors.echo.requests == []


def test_streams_chunk_by_chunk_and_closes_the_source_when_the_client_leaves(life: Life) -> None:
    async def forever() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"tick "
                await asyncio.sleep(0.01)
        finally:
            life.closed.set()

    async def app(request: HttpRequest) -> HttpResponse:
        return HttpResponse(200, content_type=b"text/plain", stream=forever())

    with behind_uvicorn(asgi(app, LIMITS, life.start, life.stop)) as port:  # type: ignore[arg-type]
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("GET", "/")
        response = connection.getresponse()
        assert response.read(10) == b"tick tick "
        assert not life.closed.is_set()
        response.close()
        connection.close()
        assert life.closed.wait(10)


def test_mounted_below_a_prefix(doors: Doors, life: Life) -> None:
    from fastapi import FastAPI

    outer = FastAPI()
    outer.mount("/models here", asgi(doors.http, LIMITS, life.start, life.stop))
    with behind_uvicorn(outer) as port:
        assert ask(port, "POST", "/models%20here/models/iris/predict", ROWS)[0] == 200
        assert ask(port, "GET", "/models%20here/livez")[0] == 200
        assert ask(port, "GET", "/livez")[0] == 404
        status, answer, _ = ask(port, "POST", "/models%20here/v2/models/iris/infer", b"x" * 100_001)
        assert (status, type(json.loads(answer)["error"])) == (413, str)


def test_a_startup_that_fails_is_told_to_the_server(doors: Doors) -> None:
    sent: list[Any] = []

    async def fail() -> None:
        raise RuntimeError("no model")

    async def receive() -> dict[str, Any]:
        return {"type": "lifespan.startup"}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(asgi(doors.http, LIMITS, fail, fail)({"type": "lifespan"}, receive, send))  # type: ignore[arg-type]
    assert sent == [{"type": "lifespan.startup.failed", "message": "no model"}]


@pytest.mark.parametrize(
    ("scope", "path"),
    [
        ({"path": "/livez", "raw_path": b"/livez"}, b"/livez"),
        ({"path": "/a b", "root_path": ""}, b"/a%20b"),
        ({"path": "/api/x", "raw_path": b"/api/x", "root_path": "/api"}, b"/x"),
        ({"path": "/api", "raw_path": b"/api", "root_path": "/api/"}, b"/"),
        ({"path": "/apix", "raw_path": b"/apix", "root_path": "/api"}, b"/apix"),
        ({"path": "/api/a/b", "raw_path": b"/api/a%2Fb", "root_path": "/api"}, b"/a%2Fb"),
    ],
)
def test_the_path_stays_raw_and_loses_its_prefix(scope: dict[str, Any], path: bytes) -> None:
    assert path_below(scope) == path


def test_repeated_headers_are_joined() -> None:
    assert joined([(b"Accept", b"a"), (b"accept", b"b"), (b"Host", b"h")]) == {b"accept": b"a, b", b"host": b"h"}
