"""Pulling models while an event loop goes on with its work: reports as Ollama's clients know them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

from penstock.core.errors import Cancelled, Draining, Overloaded
from penstock.repository import library
from penstock.repository.hub.messages import Progress

AT_ONCE = 2
WAITING = 4
"""How many wait for those to end; more are refused."""
QUIET_S = 5.0
"""After so long without news a report says what is waited for, so that neither end takes the other for dead."""
RETRY_S = 30

Report = dict[str, Any]


class Puller:
    """Fetches models to this machine's disk for whoever asks, a few at once."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(AT_ONCE)
        self._pulls: set[Pull] = set()
        self._stopping = False

    async def pull(self, name: str) -> AsyncIterator[Report]:
        """Reports, as they come: each has a `status`, and `total` and `completed` bytes while something is fetched.

        `name`: "hf:org/name[:Q4_K_M]", "hf.co/...", or a pulled model's. Raises `SetupError` when it cannot be had,
        `HubUnreachable` when it may be had later, `Overloaded` when many are fetched now, and `Draining` once `stop`
        was called. Closing it gives the download up within a second or so; the next one goes on where it stopped.
        """
        self._admit()
        pull = Pull(name, self._places)
        self._pulls.add(pull)
        try:
            yield {"status": "pulling manifest"}
            while (report := await pull.next()) is not None:
                yield report
            entry = pull.result()
        finally:
            self._pulls.discard(pull)
            pull.give_up()
        yield {"status": "verifying sha256 digest", "digest": entry.digest}
        yield {"status": "success"}

    def _admit(self) -> None:
        if self._stopping:
            raise _stopping()
        if len(self._pulls) >= AT_ONCE + WAITING:
            raise Overloaded(
                f"{AT_ONCE} models are being fetched and {WAITING} wait for that; try again later",
                retry_after_s=RETRY_S,
            )

    def stop(self) -> None:
        """Gives up what is fetched, and takes no more: a download goes on where it stopped whenever it is asked for
        again, so nobody should wait for it."""
        self._stopping = True
        for pull in self._pulls:
            pull.give_up()


class Pull:
    """One download in a thread, which begins when there is a place."""

    def __init__(self, name: str, places: asyncio.Semaphore) -> None:
        self._name = name
        self._reports: asyncio.Queue[Report | None] = asyncio.Queue()
        self._given_up = threading.Event()
        self._has_place = False
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.ensure_future(self._run(places))
        self._ended.add_done_callback(self._end)

    async def _run(self, places: asyncio.Semaphore) -> library.Entry:
        async with places:
            self._has_place = True
            return await asyncio.to_thread(library.pull, self._name, None, self._say)

    def _say(self, progress: Progress) -> None:
        if self._given_up.is_set():
            raise Cancelled("the download was given up")
        self._loop.call_soon_threadsafe(self._reports.put_nowait, _report(progress))

    def _end(self, ended: asyncio.Future[library.Entry]) -> None:
        # Looked at here, because nobody else does once the download was given up.
        if not ended.cancelled():
            ended.exception()
        self._reports.put_nowait(None)

    async def next(self) -> Report | None:
        """The next report, or None after the last."""
        try:
            async with asyncio.timeout(QUIET_S):
                return await self._reports.get()
        except TimeoutError:
            return {"status": "pulling manifest" if self._has_place else "waiting for other downloads"}

    def result(self) -> library.Entry:
        """What was pulled. Raises as `Puller.pull` does."""
        if self._given_up.is_set():
            raise _stopping()
        return self._ended.result()

    def give_up(self) -> None:
        """Ends it: at once where it waits, else with its next report; its thread keeps its place until then."""
        self._given_up.set()
        self._reports.put_nowait(None)
        if not self._has_place:
            self._ended.cancel()


def _stopping() -> Draining:
    return Draining("the server is stopping; ask again later, and the download goes on where it stopped")


def _report(progress: Progress) -> Report:
    return {"status": f"pulling {progress.file}", "total": progress.total, "completed": progress.completed}
