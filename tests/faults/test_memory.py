"""Bodies take memory as they come, not as they are claimed, and all together no more than allowed."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from tests.faults.conftest import MIB
from tests.servers import Server, configured, moody, request, status_of

CLAIM = 64 * MIB


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    limits = {"bodies": 40 * MIB, "body_grace_s": 20.0}
    with configured({"moody": moody()}, http={"limits": limits}) as running:
        running.is_well()
        yield running
        running.is_well()


def claim(server: Server, sent: bytes = b"") -> socket.socket:
    """A connection that claims a large body and sends a part of it."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=20)
    head = request("POST", "/models/moody/predict", b"", f"Content-Length: {CLAIM}")
    connection.sendall(head + sent)
    return connection


def test_a_claimed_length_takes_no_memory(server: Server) -> None:
    before = server.memory()
    with ExitStack() as stack:
        for _ in range(30):
            stack.enter_context(claim(server))
        server.is_well()
        assert server.memory() < before + 60 * MIB


def test_all_bodies_together_are_bounded(server: Server) -> None:
    before = server.memory()
    with ExitStack() as stack:
        connections = [stack.enter_context(claim(server)) for _ in range(4)]
        statuses = []
        for connection in connections:
            with suppress(OSError):  # refused while it is still sending
                connection.sendall(b" " * (24 * MIB))
            connection.settimeout(2)
            try:
                statuses.append(status_of(connection.recv(4096)))
            except (TimeoutError, OSError, AssertionError):
                statuses.append(0)
        assert 503 in statuses, statuses
        assert server.memory() < before + 100 * MIB
        server.is_well()


def test_memory_that_was_held_is_free_again(server: Server) -> None:
    body = b'{"inputs": [1' + b" " * (15 * MIB) + b"]}"
    for _ in range(6):
        answer = server.ask("POST", "/models/moody/predict", body)
        assert answer.status == 200, answer
        assert answer.json()["outputs"] == [2.0]


def test_a_timeout_over_the_models_is_refused(server: Server) -> None:
    answer = server.ask("POST", "/models/moody/predict", {"inputs": [1], "timeout_ms": 80_000_000})
    assert answer.status == 400
    assert answer.json()["error"]["message"] == "timeout_ms may be at most 600000 for this model"
