"""Pulling models while an event loop goes on with its work: reports as Ollama's clients know them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

from penstock.core.errors import Cancelled
from penstock.repository import library
from penstock.repository.hub.messages import Progress

Report = dict[str, Any]


class Puller:
    """Fetches models to this machine's disk for whoever asks."""

    async def pull(self, name: str) -> AsyncIterator[Report]:
        """Reports, as they come: each has a `status`, and `total` and `completed` bytes while something is fetched.

        `name`: "hf:org/name[:Q4_K_M]", "hf.co/...", or a pulled model's. Raises `SetupError` when it cannot be had,
        `HubUnreachable` when it may be had later. Closing it gives the download up within a second or so; the next
        one goes on where it stopped.
        """
        reports: asyncio.Queue[Report | None] = asyncio.Queue()
        given_up = threading.Event()
        loop = asyncio.get_running_loop()

        def say(progress: Progress) -> None:
            if given_up.is_set():
                raise Cancelled("the download was given up")
            loop.call_soon_threadsafe(reports.put_nowait, _report(progress))

        def ended(pulling: asyncio.Future[library.Entry]) -> None:
            # Looked at here, because nobody else does once the download was given up.
            if not pulling.cancelled():
                pulling.exception()
            reports.put_nowait(None)

        yield {"status": "pulling manifest"}
        pulling = asyncio.ensure_future(asyncio.to_thread(library.pull, name, None, say))
        pulling.add_done_callback(ended)
        try:
            while (report := await reports.get()) is not None:
                yield report
            entry = pulling.result()
        finally:
            given_up.set()
        yield {"status": "verifying sha256 digest", "digest": entry.digest}
        yield {"status": "success"}


def _report(progress: Progress) -> Report:
    return {"status": f"pulling {progress.file}", "total": progress.total, "completed": progress.completed}
