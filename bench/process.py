"""A server under test as a process: started, paused, weighed, and ended by its pid."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self


def free_port() -> int:
    """A TCP port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Service:
    """A running server and whatever it started. Use it as a context manager: leaving it ends them all."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], cwd: Path, log: Path) -> None:
        self.log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                argv, env={**os.environ, **env}, cwd=cwd, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        self.pid = self._process.pid
        self._ours: dict[int, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def exited(self) -> int | None:
        """The exit code, once it has one."""
        return self._process.poll()

    def pids(self) -> list[int]:
        """The server and every descendant that is alive, parents first."""
        found = [self.pid]
        for pid in found:
            found.extend(child for child in _children(pid) if child not in found)
        self._ours.update({pid: born for pid in found if (born := _born(pid)) is not None})
        return [pid for pid, born in self._ours.items() if _born(pid) == born]

    def pause(self) -> None:
        """Stop the clock for the whole family, so that it takes nothing from the one being measured."""
        for pid in self.pids():
            _signal(pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it run again, children first, so that no parent finds a child that does not answer."""
        for pid in reversed(self.pids()):
            _signal(pid, signal.SIGCONT)

    def rss_mb(self, *, children: bool) -> float:
        """Resident memory in megabytes (10^6 bytes)."""
        pids = self.pids() if children else [self.pid]
        return sum(_rss_bytes(pid) for pid in pids) / 1e6

    def terminate(self) -> None:
        """Ask it to end, and return at once."""
        _signal(self.pid, signal.SIGTERM)

    def stop(self, patience_s: float = 10.0) -> None:
        """Ask, wait, then insist; descendants that outlive the server are ended by pid as well."""
        family = self.pids()
        self.resume()
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(patience_s)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        for pid in family:
            if pid != self.pid and _born(pid) == self._ours.get(pid):
                _signal(pid, signal.SIGKILL)


def wait_until(condition: Callable[[], bool], timeout_s: float, every_s: float = 0.02) -> bool:
    """Call the condition until it is true or the time is over."""
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(every_s)
    return False


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found.extend(int(word) for word in task.read_text().split())
        except OSError:
            continue
    return found


def _born(pid: int) -> str | None:
    """The start time that tells a process from a later one with the same pid; None for the dead."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


def _rss_bytes(pid: int) -> int:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
