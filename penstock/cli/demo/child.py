"""`penstock serve` as a child process, exactly as a person would start it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from penstock.config.ports import free_port
from penstock.core.errors import SetupError

READY_S = 120.0
STOP_S = 40.0
_PR_SET_PDEATHSIG = 1


class Child:
    """A running server: its URL, and how it ended."""

    def __init__(self, process: subprocess.Popen[bytes], url: str):
        self.process = process
        self.url = url

    def wait(self) -> int:
        """Waits until it ends; returns its exit status."""
        return self.process.wait()

    def stop(self) -> int:
        """Asks it to finish and end; returns its exit status."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


@contextlib.contextmanager
def serving(config: Path, port: int | None, home: Path) -> Iterator[Child]:
    """Starts a server and waits until it is ready; it is stopped at the end. Raises `SetupError`.

    `port`: None takes 8000 when nobody has it. `home`: where its trust store lies.
    """
    chosen = free_port() if port is None else port
    command = [sys.executable, "-m", "penstock.cli.main", "serve", str(config), "--port", str(chosen)]
    process = subprocess.Popen(
        [*command, "--json", "--log-level", "warning"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env=environment(home),
        start_new_session=True,
        preexec_fn=_die_with_parent,
    )
    try:
        child = Child(process, _url(process))
        yield child
    finally:
        if process.poll() is None:
            Child(process, "").stop()
        assert process.stdout is not None
        process.stdout.close()


def _url(process: subprocess.Popen[bytes]) -> str:
    """Where it serves, from the line that it prints when it is ready."""
    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], READY_S)
    line = process.stdout.readline() if readable else b""
    if not line:
        raise SetupError("the demo's server did not start; its messages above say why")
    return str(msgspec.json.decode(line)["url"])


def environment(home: Path) -> dict[str, str]:
    """This process's environment without its own settings: the demo is the same everywhere, but for the model cache."""
    own = (key for key in os.environ if key == "PORT" or (key.startswith("PENSTOCK_") and key != "PENSTOCK_CACHE"))
    kept = {key: value for key, value in os.environ.items() if key not in set(own)}
    return {**kept, "PENSTOCK_HOME": str(home)}


def _die_with_parent() -> None:
    """Asks Linux to stop the server when the demo is killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
