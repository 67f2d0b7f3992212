"""Real server processes for tests: started on a port of the system's choice, always ended by their id."""

from __future__ import annotations

import http.client
import json
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import yaml

COMMAND = (sys.executable, "-m", "penstock.cli.main", "serve")
READY_S = 60.0
MOODY = str(Path(__file__).parent / "fixtures" / "moody.py") + ":predict"
INTERNALS = re.compile(
    r'Traceback|File "|0x[0-9a-f]{6,}|/(?:tmp|home|root|usr|var|opt|work|proc)\b|\.py\b|site-packages'
)


class Answer(NamedTuple):
    """One HTTP answer."""

    status: int
    body: bytes
    headers: dict[str, str]

    def json(self) -> Any:
        return json.loads(self.body)


class Server:
    """A `penstock serve` process. Use `serving`, which ends it."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path):
        self.process = process
        self.log_file = log
        self.port = 0
        self._lines: queue.Queue[bytes] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self._lines.put(line)
        self._lines.put(b"")

    def wait_ready(self, within_s: float = READY_S) -> None:
        """Reads the line that the server prints when every model is ready."""
        line = self._lines.get(timeout=within_s)
        assert line, f"the server ended with {self.process.wait(10)}: {self.log()[-3000:]}"
        ready = json.loads(line)
        assert ready["event"] == "ready"
        self.port = int(ready["url"].rpartition(":")[2])

    def log(self) -> str:
        """What it wrote to standard error so far."""
        return self.log_file.read_text(errors="replace")

    # --- asking

    def ask(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None, timeout: float = 30
    ) -> Answer:
        """One request on a connection of its own; anything but bytes goes as JSON."""
        raw = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, raw, dict(headers or {}))
            return answer_of(connection.getresponse())
        finally:
            connection.close()

    def predict(self, value: float, model: str = "moody", **rest: Any) -> Answer:
        """One row to the friendly door."""
        return self.ask("POST", f"/models/{model}/predict", {"inputs": [value], **rest})

    def is_well(self, model: str = "moody") -> None:
        """Asserts a normal answer to a normal request, and liveness."""
        answer = self.predict(21, model)
        assert (answer.status, answer.json().get("outputs")) == (200, [42]), answer
        assert self.ask("GET", "/livez").status == 200

    def connect(self, timeout: float = 30) -> socket.socket:
        """A bare connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=timeout)

    def raw(self, data: bytes, timeout: float = 30) -> bytes:
        """Sends bytes, and returns everything until the server closes."""
        with self.connect(timeout) as sock:
            sock.sendall(data)
            return read_all(sock)

    # --- the processes

    @property
    def pid(self) -> int:
        """The server's process id."""
        return self.process.pid

    def workers(self) -> list[int]:
        """The process ids of the workers."""
        return children(self.pid)

    def memory(self) -> int:
        """The server process's resident bytes."""
        return resident(self.pid)

    def signal(self, number: int) -> None:
        """Sends a signal to the server."""
        self.process.send_signal(number)

    def end(self) -> None:
        """Ends the server, gently first, and checks that no worker outlives it."""
        workers = self.workers()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)
        self._reader.join(10)
        eventually(lambda: not any(alive(pid) for pid in workers), "workers outlived the server")


@contextmanager
def serving(
    *arguments: str, before: Callable[[], None] | None = None, wait: bool = True, ready_s: float = READY_S
) -> Iterator[Server]:
    """A server with these arguments; `before` runs in the child before it starts."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        environment = {**os.environ, "PYTHONWARNINGS": "default", "XDG_STATE_HOME": folder}
        command = [*COMMAND, *arguments, "--port", "0", "--json", "--log-format", "json"]
        with log.open("wb") as errors:
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=errors, env=environment, preexec_fn=before
            )
        server = Server(process, log)
        try:
            if wait:
                server.wait_ready(ready_s)
            yield server
        finally:
            server.end()


@contextmanager
def configured(
    models: Mapping[str, Any], *arguments: str, ready_s: float = READY_S, **settings: Any
) -> Iterator[Server]:
    """A server with a configuration file; a model is its settings, or only its source."""
    described = {name: model if isinstance(model, dict) else {"source": str(model)} for name, model in models.items()}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "penstock.yaml"
        path.write_text(yaml.safe_dump({"models": described, **settings}))
        with serving(str(path), *arguments, ready_s=ready_s) as server:
            yield server


def moody(**settings: Any) -> dict[str, Any]:
    """The settings of the model that does what its input says."""
    return {"source": MOODY, **settings}


# --- HTTP by hand


def request(method: str, path: str, body: bytes = b"", *headers: str) -> bytes:
    """A request's bytes."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def predict_bytes(value: float, *headers: str, model: str = "moody") -> bytes:
    """A predict request's bytes."""
    return request("POST", f"/models/{model}/predict", json.dumps({"inputs": [value]}).encode(), *headers)


def read_all(sock: socket.socket) -> bytes:
    """Everything until the peer closes (a reset counts as closing)."""
    parts: list[bytes] = []
    try:
        while data := sock.recv(65536):
            parts.append(data)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def status_of(response: bytes) -> int:
    """The status of a response's bytes."""
    assert response.startswith(b"HTTP/1.1 "), response[:200]
    return int(response[9:12])


def answer_of(response: http.client.HTTPResponse) -> Answer:
    """A response, read to its end."""
    return Answer(response.status, response.read(), {name.lower(): value for name, value in response.getheaders()})


def says_nothing_internal(body: bytes | str) -> None:
    """Asserts that an error's body carries no path, address or traceback, and is JSON with a message."""
    text = body if isinstance(body, str) else body.decode()
    found = INTERNALS.search(text)
    assert found is None, f"{found.group()!r} in {text[:500]}"
    error = json.loads(text)["error"]
    assert isinstance(error, str) or (error["message"] and error["code"] and error["request_id"])


def refused(answer: Answer, *statuses: int) -> None:
    """Asserts a refusal with one of these statuses, and a body fit for strangers."""
    assert answer.status in statuses, answer
    says_nothing_internal(answer.body)


def refused_raw(response: bytes, *statuses: int) -> None:
    """The same for a response's bytes."""
    assert status_of(response) in statuses, response[:300]
    says_nothing_internal(response.partition(b"\r\n\r\n")[2])


# --- processes


def children(pid: int) -> list[int]:
    """The ids of a process's children."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children") if Path(f"/proc/{pid}").exists() else ():
        try:
            found += map(int, task.read_text().split())
        except OSError:
            continue
    return found


def listening_port(pid: int) -> int | None:
    """The TCP port that a process listens on."""
    sockets = {os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir() if link.exists() or link.is_symlink()}
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
            return int(fields[1].rpartition(":")[2], 16)
    return None


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def resident(pid: int) -> int:
    """A process's resident bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def peak(pid: int) -> int:
    """The most resident bytes that a process ever had."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def kill(pid: int) -> None:
    """Ends a process at once."""
    os.kill(pid, signal.SIGKILL)


def eventually(condition: Callable[[], Any], says: str, within_s: float = 20) -> Any:
    """Waits until a condition holds, and returns its value; fails with `says` when it never does."""
    until = time.monotonic() + within_s
    while not (found := condition()):
        assert time.monotonic() < until, says
        time.sleep(0.02)
    return found


def together(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """Runs calls at the same time, each in a thread; returns their results, or raises the first error."""
    results: list[Any] = [None] * len(calls)

    def run(index: int) -> None:
        try:
            results[index] = calls[index]()
        except BaseException as error:
            results[index] = error

    threads = [threading.Thread(target=run, args=(index,), daemon=True) for index in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results
