"""The same worker without a process: for tests, and objects that cannot leave a notebook."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from penstock.runtimes.contract import Engine, Runtime
from penstock.scheduling.frames import Buffer, FrameReader, split
from penstock.scheduling.host import Host
from penstock.scheduling.process import Events
from penstock.scheduling.steps import CHUNK, Steps
from penstock.telemetry.logs import logger

log = logger("scheduling")


class InlineWorker:
    """Runs the host in a thread of its own. It cannot be killed: a model that hangs stays."""

    pid: int | None = None

    def __init__(self, events: Events, create: Callable[[str], Runtime | Engine]):
        self._events = events
        self._host = Host(create)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="penstock-inline")
        self._talk: Talk | None = None
        self._closed = False

    async def start(self) -> None:
        """Nothing to start."""

    def send(self, buffers: Sequence[Buffer], nbytes: int) -> None:
        """Hands a frame to the thread; the answer comes back through the loop."""
        frame = b"".join(buffers)
        if self._talk is not None:
            self._talk.send(frame)
            return
        future = asyncio.get_running_loop().run_in_executor(self._thread, self._answer, frame)
        future.add_done_callback(self._answered)

    def _answer(self, frame: bytes) -> bytes:
        header, body = split(frame)
        if not self._host.borrows:
            body = memoryview(bytearray(body))
        return b"".join(self._host.answer(header, body))

    def kill(self) -> None:
        """Gives the thread up."""
        self.close()

    def close(self) -> None:
        """Ends after what runs now."""
        if not self._closed:
            self._closed = True
            if self._talk is not None:
                self._talk.close()
            self._thread.shutdown(wait=False, cancel_futures=True)
            asyncio.get_running_loop().call_soon(self._events.exited, "closed")

    def _answered(self, future: asyncio.Future[bytes]) -> None:
        if self._closed or future.cancelled():
            return
        if self._host.engine is not None:
            self._talk = Talk(self._events)
            steps = asyncio.get_running_loop().run_in_executor(self._thread, self._talk.serve, self._host.engine)
            steps.add_done_callback(self._ended)
        self._events.frame(*split(future.result()))

    def _ended(self, future: asyncio.Future[None]) -> None:
        if future.cancelled():
            return
        if error := future.exception():
            log.error("the engine failed", error=str(error), exc_info=error)
            self.close()


class Talk:
    """An inline engine's socketpair: its loop is the worker process's own.

    Neither end waits for the other here: the engine's thread may stand in a write to this loop.
    """

    def __init__(self, events: Events):
        self._events = events
        self._reader = FrameReader()
        self._begun = False
        self._unsent = bytearray()
        self._ours, self._theirs = socket.socketpair()
        self._ours.setblocking(False)
        asyncio.get_running_loop().add_reader(self._ours, self._readable)

    def serve(self, engine: Engine) -> None:
        """Runs the engine until the socket ends; in its thread."""
        self._begun = True
        with self._theirs, contextlib.closing(engine), contextlib.suppress(BrokenPipeError, ConnectionResetError):
            Steps(self._theirs, engine).run()

    def send(self, frame: bytes) -> None:
        """Sends a frame, at once or as the engine takes it; one that has ended hears nothing."""
        if self._ours.fileno() >= 0:
            self._unsent += frame
            self._flush()

    def close(self) -> None:
        """Ends the loop in the thread."""
        if self._ours.fileno() >= 0:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._ours)
            loop.remove_writer(self._ours)
            self._ours.close()
        if not self._begun:
            self._theirs.close()

    def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            del self._unsent[: self._ours.send(self._unsent)]
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        if self._unsent:
            loop.add_writer(self._ours, self._flush)
        else:
            loop.remove_writer(self._ours)

    def _readable(self) -> None:
        try:
            data = self._ours.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
        for frame in self._reader.feed(data):
            self._events.frame(*split(frame))
