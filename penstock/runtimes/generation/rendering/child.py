"""A renderer's child process as its parent sees it: a socket that takes one frame and gives one answer, or ends."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time

import msgspec

from penstock.runtimes.generation.rendering.frames import Frames, Outcome

_CHUNK = 1 << 18
_BUFFER = 1 << 22
_ENVIRONMENT = ("PATH", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LANG", "LC_ALL", "TZ")


class Child:
    """Nothing here waits but `wait`. `fileno`: readable when there is an answer, or the process has ended."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._socket.setblocking(False)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
            theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
            self._process = _launch(theirs)
        self._frames = Frames(Outcome)
        self._unsent = memoryview(b"")

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def fileno(self) -> int:
        """The descriptor of its socket."""
        return self._socket.fileno()

    def send(self, frame: bytes) -> None:
        """Hands a frame over, as much of it as there is room for now; `flush` does the rest."""
        self._unsent = memoryview(frame)
        self.flush()

    def flush(self) -> bool:
        """Whether the last frame is all on its way."""
        with contextlib.suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
            while self._unsent:
                self._unsent = self._unsent[self._socket.send(self._unsent) :]
        return not self._unsent

    def receive(self) -> tuple[list[Outcome], bool]:
        """The answers that are there, and whether the process can give no more."""
        found: list[Outcome] = []
        try:
            while data := self._socket.recv(_CHUNK):
                found += self._frames.feed(data)
        except BlockingIOError:
            return found, bool(found) and found[-1].last
        except (ConnectionResetError, msgspec.DecodeError):
            return found, True
        return found, True

    def kill(self) -> None:
        """Ends the process, without waiting for its end."""
        self._process.kill()
        self._socket.close()

    def ended(self) -> bool:
        """Whether the process is gone; the system then keeps nothing of it."""
        return self._process.poll() is not None

    def wait(self, seconds: float) -> None:
        """Waits for the end of a process that was killed."""
        until = time.monotonic() + seconds
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(max(0.0, until - time.monotonic()))


def _launch(theirs: socket.socket) -> subprocess.Popen[bytes]:
    """The process. It inherits no secrets: of the environment it gets what Python needs to start.

    -P keeps the working folder off its path. What it prints goes to standard error.
    """
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    command = [sys.executable, "-P", "-m", "penstock.runtimes.generation.rendering"]
    return subprocess.Popen(command, stdin=theirs.fileno(), stdout=2, env=environment)
