"""The load generator sends what it was given, in its order, and reads its own numbers back."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from bench.wrk import Request, Stream, WrkError, run_wrk

pytestmark = pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")

REQUEST = Request("/embed", {"Content-Type": "application/json"}, b'{"text": "probe"}')
BODIES = [b'{"text": "\\u00e9 %d"}' % number for number in range(5)]


@dataclass
class Listener:
    """A real server that remembers what came."""

    port: int
    bodies: list[bytes] = field(default_factory=list)
    paths: set[str] = field(default_factory=set)
    kinds: set[str | None] = field(default_factory=set)
    status: int = 200


@pytest.fixture
def listener() -> Iterator[Listener]:
    """Answers every POST with an empty object."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            seen.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            seen.paths.add(self.path)
            seen.kinds.add(self.headers["Content-Type"])
            self.send_response(seen.status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    seen = Listener(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield seen
    server.shutdown()
    thread.join()
    server.server_close()


def test_one_body_over_and_over(listener: Listener) -> None:
    load = run_wrk(listener.port, REQUEST, 2, 1)

    assert set(listener.bodies) == {REQUEST.body}
    assert (listener.paths, listener.kinds) == ({"/embed"}, {"application/json"})
    assert 0 < load.requests <= len(listener.bodies)
    assert load.requests_per_s == pytest.approx(load.requests, rel=0.2)
    assert 0 < load.p50_ms <= load.p99_ms
    assert (load.bad_statuses, load.socket_errors) == (0, 0)


def test_a_stream_is_walked_in_its_order_from_its_start(listener: Listener) -> None:
    run_wrk(listener.port, REQUEST, 1, 1, Stream(BODIES, order=[4, 4, 0, 2], start=1))

    # wrk asks for one request before the load begins, to see what it looks like, and does not send it.
    wanted = [BODIES[index] for index in (0, 2, 4, 4)]
    assert listener.bodies[:8] == wanted * 2
    assert listener.paths == {"/embed"}


def test_a_stream_without_an_order_gives_every_body_in_turn(listener: Listener) -> None:
    run_wrk(listener.port, REQUEST, 1, 1, Stream(BODIES))

    assert listener.bodies[:5] == [*BODIES[1:], BODIES[0]]


def test_running_out_of_prepared_requests_is_an_error(listener: Listener) -> None:
    with pytest.raises(WrkError, match=r"only 3 were prepared"):
        run_wrk(listener.port, REQUEST, 1, 1, Stream(BODIES, order=[0, 1, 2], cyclic=False))


def test_enough_prepared_requests_are_no_error(listener: Listener) -> None:
    order = [number % 5 for number in range(200_000)]

    assert run_wrk(listener.port, REQUEST, 1, 1, Stream(BODIES, order, cyclic=False)).requests > 0


def test_refusals_are_counted(listener: Listener) -> None:
    listener.status = 503

    load = run_wrk(listener.port, REQUEST, 2, 1, Stream(BODIES))

    assert load.bad_statuses == load.requests > 0
