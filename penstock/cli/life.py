"""The life of a server process: start, serve until a signal, drain; a second signal ends it at once."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import signal
from collections.abc import Callable

from penstock.app import App
from penstock.core.errors import ModelFileError

GC_YOUNG = 20_000
"""Allocations between young collections: requests leave few cycles, so collecting seldom is cheaper."""


def run(app: App, announce: Callable[[App], None]) -> int:
    """Serves until SIGTERM or SIGINT; returns the exit status.

    `announce` is called once every model is ready. Raises `SetupError` when the port is taken or a
    model cannot be loaded.
    """
    prepare_process()
    return _runner()(_main(app, announce))


def _runner() -> Callable[..., int]:
    try:
        import uvloop
    except ImportError:
        return asyncio.run
    return uvloop.run


async def _main(app: App, announce: Callable[[App], None]) -> int:
    stop = asyncio.Event()
    signals = Signals(stop)
    await app.start()
    try:
        await _until_loaded(app, stop)
        if not stop.is_set():
            gc.collect()
            gc.freeze()
            announce(app)
        await stop.wait()
    except BaseException:
        await app.abort()
        raise
    signals.next_ends_at_once()
    await app.drain()
    return 0


async def _until_loaded(app: App, stop: asyncio.Event) -> None:
    """Waits for the models or a signal. Raises `ModelFileError` for models that cannot be loaded."""
    loading = asyncio.ensure_future(app.loaded())
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait((loading, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not loading.done():
        loading.cancel()
        return
    failures = loading.result()
    if failures:
        raise ModelFileError("\n".join(f"model {name!r}: {reason}" for name, reason in failures.items()))


class Signals:
    """The first SIGTERM or SIGINT asks to stop; once draining, the next one ends the process."""

    def __init__(self, stop: asyncio.Event):
        self._stop = stop
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._arrived)

    def next_ends_at_once(self) -> None:
        """From now on a signal means: now."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, os._exit, 128 + number)

    def _arrived(self) -> None:
        if self._stop.is_set():
            os._exit(128 + signal.SIGTERM)
        self._stop.set()


def prepare_process() -> None:
    """Allows as many open files as the system lets us, and collects garbage seldom."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    gc.set_threshold(GC_YOUNG, 20, 50)
