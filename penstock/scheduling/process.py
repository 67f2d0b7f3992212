"""Starting and ending a worker process, and talking to it over its socketpair."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, Protocol

from penstock.core.access import KEY_VARIABLE, SERVER_VARIABLE
from penstock.scheduling import arena
from penstock.scheduling.arena import KEEP, LARGE, Arena
from penstock.scheduling.frames import Buffer, FrameReader, shared, shared_size, split

POLL_S = 0.01
PATIENCE = 100
"""Polls that a child gets to end by itself after its socket has closed."""
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "RAYON_NUM_THREADS",
)


class Events(Protocol):
    """Whom a worker process reports to."""

    def frame(self, header: bytes, body: memoryview) -> None: ...

    def exited(self, how: str) -> None: ...


class WorkerProcess(asyncio.Protocol):
    """One child process. `exited` is reported exactly once, after the last frame."""

    def __init__(self, events: Events, threads: int, url: str = "", key: str = ""):
        self._events = events
        self._threads = threads
        self._url, self._key = url, key
        self._reader = FrameReader()
        self._to_child: Arena | None = None
        self._from_child: Arena | None = None
        self._large = False
        self._transport: asyncio.Transport | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._reaper: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The child's process id, while it is known."""
        return self._child.pid if self._child else None

    async def start(self) -> None:
        """Starts the child and connects to it. Raises `OSError` when the system cannot."""
        ours, theirs = socket.socketpair()
        try:
            for end in (ours, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
            self._to_child, self._from_child = arena.create(), arena.create()
            self._child = launch(theirs, self._to_child, self._from_child, self._threads, self._url, self._key)
            ours.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.create_unix_connection(lambda: self, sock=ours)
        except BaseException:
            ours.close()
            self._release()
            if self._child is not None:
                self._child.kill()
                self._child.wait()
            raise
        finally:
            theirs.close()

    def send(self, buffers: Sequence[Buffer], nbytes: int) -> None:
        """Sends a frame; a child that is gone is reported through `exited`."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if nbytes >= LARGE and self._to_child is not None:
            self._to_child.write(buffers[1:], nbytes)
            self._large = nbytes > KEEP
            transport.write(shared(buffers, nbytes))
        else:
            transport.write(b"".join(buffers))

    def kill(self) -> None:
        """Ends the child at once."""
        if self._child is not None and self._child.poll() is None:
            self._child.send_signal(signal.SIGKILL)

    def close(self) -> None:
        """Lets the child finish by ending its input."""
        if self._transport is not None:
            self._transport.close()

    # --- asyncio.Protocol

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        try:
            for frame in self._reader.feed(data):
                header, body = split(frame)
                if size := shared_size(frame):
                    body = self._shared_body(size)
                if self._large and self._to_child is not None:
                    self._to_child.trim()
                self._events.frame(header, body)
        except ValueError:
            self.kill()

    def _shared_body(self, size: int) -> memoryview:
        """A copy: the region is used again by the next batch, while replies may still be on their way."""
        if self._from_child is None:
            raise ValueError("a frame names shared memory that there is not")
        body = memoryview(bytes(self._from_child.view(size)))
        if size > KEEP:
            self._from_child.trim()
        return body

    def _release(self) -> None:
        for region in (self._to_child, self._from_child):
            if region is not None:
                region.close()
        self._to_child = self._from_child = None

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._reaper = asyncio.get_running_loop().create_task(self._reap())

    async def _reap(self) -> None:
        """Waits a moment for the child to end by itself, else kills it; then reports."""
        child = self._child
        assert child is not None
        for attempt in itertools.count():
            if child.poll() is not None:
                break
            if attempt == PATIENCE:
                child.kill()
            await asyncio.sleep(POLL_S)
        self._release()
        self._events.exited(how_it_ended(child.returncode))


def launch(
    theirs: socket.socket, inwards: Arena | None, outwards: Arena | None, threads: int, url: str, key: str = ""
) -> subprocess.Popen[bytes]:
    """The child process, with its end of the socketpair, shared memory, its share of the cores, its server's URL and
    the key to ask it with; a key in the server's own environment is not for models.

    -P keeps the working folder off its path, so that a file there never stands in for a library; what
    a model prints goes to standard error, since standard output is the server's own. A process group of
    its own keeps Ctrl-C away from it: the server ends its workers when their work is done.
    """
    environment = dict(os.environ)
    for name in THREAD_VARIABLES:
        environment.setdefault(name, str(threads))
    if url:
        environment[SERVER_VARIABLE] = url
    environment.pop(KEY_VARIABLE, None)
    if key:
        environment[KEY_VARIABLE] = key
    environment["PYTHONUNBUFFERED"] = "1"
    environment.setdefault("ORT_DISABLE_TELEMETRY", "1")
    descriptors = [theirs.fileno(), *(region.descriptor for region in (inwards, outwards) if region is not None)]
    command = [sys.executable, "-P", "-m", "penstock.scheduling.worker", str(os.getpid()), *map(str, descriptors)]
    return subprocess.Popen(
        command, pass_fds=descriptors, stdin=subprocess.DEVNULL, stdout=2, env=environment, process_group=0
    )


def how_it_ended(status: int | None) -> str:
    """An exit status in words: "exit 1", "signal SIGSEGV"."""
    if status is None or status >= 0:
        return f"exit {status}"
    try:
        return f"signal {signal.Signals(-status).name}"
    except ValueError:
        return f"signal {-status}"
