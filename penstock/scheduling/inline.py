"""The same worker without a process: for tests, and objects that cannot leave a notebook."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from penstock.runtimes.contract import Runtime
from penstock.scheduling.frames import Buffer, split
from penstock.scheduling.host import Host
from penstock.scheduling.process import Events


class InlineWorker:
    """Runs the host in a thread of its own. It cannot be killed: a model that hangs stays."""

    pid: int | None = None

    def __init__(self, events: Events, create: Callable[[str], Runtime]):
        self._events = events
        self._host = Host(create)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="penstock-inline")
        self._closed = False

    async def start(self) -> None:
        """Nothing to start."""

    def send(self, buffers: Sequence[Buffer], nbytes: int) -> None:
        """Hands a frame to the thread; the answer comes back through the loop."""
        frame = b"".join(buffers)
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._thread, self._answer, frame)
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
            self._thread.shutdown(wait=False, cancel_futures=True)
            asyncio.get_running_loop().call_soon(self._events.exited, "closed")

    def _answered(self, future: asyncio.Future[bytes]) -> None:
        if not self._closed and not future.cancelled():
            self._events.frame(*split(future.result()))
