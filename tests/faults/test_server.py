"""The server process: wrong settings, a taken port, no descriptors left, signals, its own death."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.servers import (
    COMMAND,
    MOODY,
    Answer,
    Server,
    alive,
    children,
    configured,
    cpu_seconds,
    eventually,
    listening_port,
    moody,
    predict_bytes,
    read_all,
    refused,
    serving,
    status_of,
    together,
)

SLOW = 999


def fails(*arguments: str) -> str:
    """What a server that cannot start says; its status must be 2."""
    ended = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2, ended
    assert "Traceback" not in ended.stderr
    return ended.stderr


def test_a_wrong_setting_is_named_with_file_line_and_nearest_key(tmp_path: Path) -> None:
    config = tmp_path / "penstock.yaml"
    config.write_text(f"models:\n  moody:\n    source: {MOODY}\n    replicsa: 2\n")
    said = fails(str(config))
    assert "penstock.yaml" in said
    assert "4" in said
    assert "replicas" in said


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("models: [", "line"),
        ("models:\n  moody: {source: 7}\n", "source"),
        ("models:\n  moody: {source: x.onnx, batching: {max_size: many}}\n", "max_size"),
        ("models:\n  moody: {source: nothing-here.onnx}\n", "nothing-here"),
        ("http: {limits: {heads: 1}}\nmodels: {}\n", "head"),
        ("- models\n", "penstock.yaml"),
    ],
)
def test_wrong_configurations_say_what_is_wrong(tmp_path: Path, text: str, hint: str) -> None:
    config = tmp_path / "penstock.yaml"
    config.write_text(text)
    assert hint in fails(str(config))


def test_a_source_that_is_not_there() -> None:
    assert "nothing-here" in fails("nothing-here.onnx")


def test_a_port_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert str(port) in fails(MOODY, "--port", str(port))


def few_descriptors() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))


def test_without_descriptors_it_keeps_answering_and_does_not_spin() -> None:
    with serving(MOODY, "--name", "moody", before=few_descriptors) as server:
        held = server.connect()
        socks = []
        with contextlib.suppress(OSError):
            for _ in range(300):
                socks.append(server.connect(2))
        held.sendall(predict_bytes(4))
        assert status_of(held.recv(65536)) == 200
        before = cpu_seconds(server.pid)
        time.sleep(1)
        assert cpu_seconds(server.pid) - before < 0.7
        for sock in [*socks, held]:
            sock.close()
        eventually(lambda: answers(server), "it does not answer any more")
        server.is_well()


def answers(server: Server) -> bool:
    try:
        return server.ask("GET", "/livez", timeout=2).status == 200
    except OSError:
        return False


def in_background(server: Server, value: float, into: list[Any]) -> threading.Thread:
    """A request whose answer, or error, goes into a list."""

    def run() -> None:
        try:
            into.append(server.predict(value))
        except Exception as error:
            into.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def wait_for_in_flight(server: Server, count: int) -> None:
    """Waits until so many requests were accepted."""

    def accepted() -> bool:
        lines = server.ask("GET", "/metrics").body.decode().splitlines()
        now = [float(line.rpartition(" ")[2]) for line in lines if "queue_depth{" in line or "in_flight{" in line]
        return sum(now) >= count

    eventually(accepted, "the requests were not accepted")


def test_sigterm_finishes_what_was_accepted_and_exits_0() -> None:
    with configured({"moody": moody(batching={"max_size": 1})}) as server:
        results: list[Any] = []
        threads = [in_background(server, SLOW + index / 8, results) for index in range(6)]
        wait_for_in_flight(server, 6)
        workers = server.workers()
        server.signal(signal.SIGTERM)
        readiness = eventually(lambda: not_ready(server), "it still says that it is ready", 5)
        assert readiness.status == 503
        late = server.predict(1)
        assert late.status == 503
        assert late.headers["connection"] == "close"
        for thread in threads:
            thread.join(30)
        assert sorted(answer.json()["outputs"][0] for answer in results) == [2 * (SLOW + i / 8) for i in range(6)]
        assert server.process.wait(20) == 0
        assert not any(map(alive, workers))


def not_ready(server: Server) -> Answer | None:
    answer = server.ask("GET", "/readyz")
    return answer if answer.status == 503 else None


def test_sigint_is_as_gentle() -> None:
    with serving(MOODY, "--name", "moody") as server:
        server.is_well()
        server.signal(signal.SIGINT)
        assert server.process.wait(20) == 0


def test_a_second_sigterm_ends_it_at_once() -> None:
    with configured({"moody": moody(batching={"max_size": 1})}) as server:
        results: list[Any] = []
        threads = [in_background(server, SLOW, results) for _ in range(40)]
        wait_for_in_flight(server, 40)
        workers = server.workers()
        server.signal(signal.SIGTERM)
        eventually(lambda: not_ready(server), "it still says that it is ready", 5)
        started = time.monotonic()
        server.signal(signal.SIGTERM)
        assert server.process.wait(10) != 0
        assert time.monotonic() - started < 5
        for thread in threads:
            thread.join(30)
        eventually(lambda: not any(map(alive, workers)), "workers outlived the server")


def test_a_model_that_loads_is_unavailable_not_unknown(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    slow = tmp_path / "slow.py"
    slow.write_text(
        f"import os, time\nwhile not os.path.exists({str(gate)!r}):\n    time.sleep(0.02)\n"
        "def predict(x: list[float]) -> list[float]:\n    return [2 * value for value in x]\n"
    )
    with serving(f"{slow}:predict", "--name", "moody", wait=False) as server:
        server.port = eventually(lambda: listening_port(server.pid), "it does not listen while it loads")
        for path in ("/models/moody/predict", "/v2/models/moody/infer"):
            tensor = {"name": "x", "shape": [1], "datatype": "FP64", "data": [1]}
            answer = server.ask("POST", path, {"inputs": [tensor] if "infer" in path else [1]})
            refused(answer, 503)
            assert int(answer.headers["retry-after"]) >= 1
        assert [server.ask("GET", path).status for path in ("/livez", "/readyz", "/health")] == [200, 503, 503]
        assert server.ask("GET", "/openapi.json").status == 200
        gate.touch()
        server.wait_ready()
        server.is_well()


def test_sigterm_while_a_model_still_loads(tmp_path: Path) -> None:
    slow = tmp_path / "slow.py"
    slow.write_text("import time\ntime.sleep(30)\ndef predict(x: list[float]) -> list[float]:\n    return x\n")
    with serving(f"{slow}:predict", wait=False) as server:
        eventually(server.workers, "no worker was started")
        server.signal(signal.SIGTERM)
        assert server.process.wait(20) == 0


def test_sigkill_of_the_server_takes_its_workers_along() -> None:
    with configured({"moody": moody(replicas=2)}) as server:
        server.is_well()
        workers = children(server.pid)
        assert len(workers) == 2
        server.signal(signal.SIGKILL)
        server.process.wait(10)
        eventually(lambda: not any(map(alive, workers)), "workers outlived the server", 10)


@pytest.mark.timeout(90)
def test_500_slow_clients_at_default_limits_are_closed_within_30_s_and_harm_nobody() -> None:
    with serving(MOODY, "--name", "moody") as server:
        heads = [server.connect() for _ in range(250)]
        bodies = [server.connect() for _ in range(250)]
        for sock in heads:
            sock.sendall(b"POST /models/moody/predict HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        for sock in bodies:
            sock.sendall(b"POST /models/moody/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n")
        started = time.monotonic()
        waits: list[float] = []
        remaining = {*heads, *bodies}
        while remaining and time.monotonic() - started < 30:
            before = time.monotonic()
            server.is_well()
            waits.append(time.monotonic() - before)
            remaining = {sock for sock in remaining if drip(sock)}
            time.sleep(max(0.0, 1 - (time.monotonic() - before)))
        assert not remaining, f"{len(remaining)} slow clients were kept for 30 s"
        assert max(waits) < 2, "normal traffic suffered"
        answered = [read_all(sock) for sock in (*heads, *bodies)]
        assert {status_of(answer) for answer in answered if answer} <= {408}
        for sock in (*heads, *bodies):
            sock.close()
        eventually(lambda: len(os.listdir(f"/proc/{server.pid}/fd")) < 60, "connections stayed open")
        server.is_well()


def drip(sock: socket.socket) -> bool:
    """Sends one byte; whether the server still listens."""
    try:
        sock.sendall(b"a")
        return not sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return True
    except OSError:
        return False


def test_many_clients_come_and_go_and_memory_comes_back() -> None:
    with serving(MOODY, "--name", "moody") as server:

        def traffic() -> None:
            for value in range(150):
                assert server.predict(value).json()["outputs"] == [2 * value]

        def written() -> bool:
            page = server.ask("GET", "/metrics").body.decode()
            rows = re.search(r"^penstock_ledger_rows_total (\S+)$", page, re.MULTILINE)
            return rows is not None and float(rows[1]) > 0

        together([traffic] * 4)
        # The database's library is loaded once, with the first entries.
        eventually(written, "the ledger was not written")
        together([traffic] * 4)
        eventually(written, "the ledger was not written")
        settled = server.memory()
        together([traffic] * 4)
        assert server.memory() < settled * 1.05
