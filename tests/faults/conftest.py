"""Servers to attack: short limits, so that waiting for them is short too."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any, Self

import pytest

from tests.servers import Server, configured, eventually, moody

MIB = 2**20
SHORT: dict[str, Any] = {"body": 16 * MIB, "head_s": 2.0, "body_grace_s": 2.0, "idle_s": 4.0, "write_stall_s": 2.0}


class Watch:
    """Asks whether a server lives, again and again until the end of the block. `seconds`: how long each answer took;
    `over_s`: how long the block took."""

    def __init__(self, server: Server):
        self.seconds: list[float] = []
        self.over_s = 0.0
        self._server = server
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> Self:
        self._began = time.perf_counter()
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.over_s = time.perf_counter() - self._began
        self._over.set()
        self._thread.join()

    def _ask(self) -> None:
        while True:
            began = time.perf_counter()
            assert self._server.ask("GET", "/livez").status == 200
            self.seconds.append(time.perf_counter() - began)
            if self._over.wait(0.02):
                return


@pytest.fixture(scope="module")
def hasty() -> Iterator[Server]:
    """A server that soon loses patience; every test of a module harms it in turn, none may break it."""
    with configured({"moody": moody()}, http={"limits": SHORT}) as server:
        server.is_well()
        workers, memory = server.workers(), server.memory()
        yield server
        assert server.workers() == workers, "a worker was restarted"
        assert server.memory() < memory * 1.05 + 40 * MIB, "memory did not come back"


@pytest.fixture(scope="module")
def sturdy() -> Iterator[Server]:
    """Two models whose workers may die; restarts pause for at most a second."""
    supervision = {"backoff_s": 0.5, "max_backoff_s": 1.0, "crash_loop_after": 4}
    settings = {"timeout_ms": 1500, "supervision": supervision}
    with configured({"moody": moody(**settings), "other": moody(**settings)}) as server:
        yield server


@pytest.fixture(autouse=True)
def ends_well(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each case ends with a normal answer to a normal request; workers that died may need a moment."""
    yield
    if "hasty" in request.fixturenames:
        request.getfixturevalue("hasty").is_well()
    if "sturdy" in request.fixturenames:
        server = request.getfixturevalue("sturdy")
        eventually(lambda: server.ask("GET", "/readyz").status == 200, "the server did not become ready again")
        server.is_well()
        server.is_well("other")
