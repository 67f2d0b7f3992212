"""Runs one exchange's coroutine without an asyncio task.

A step of the path usually waits for one thing, a `Reply`, which calls back synchronously; a task
per request would cost more than the whole path. Code that needs a current task (timeouts of
asyncio, HTTP clients) starts one itself and settles a reply with its result.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from penstock.core.reply import Reply


class Drive:
    """Starts at once. `done` gets the coroutine's result, or the exception it ended with."""

    __slots__ = ("_coroutine", "_done")

    def __init__(self, coroutine: Coroutine[Any, Any, Any], done: Callable[[Any], None]):
        self._coroutine = coroutine
        self._done = done
        self._step(None)

    def _step(self, _: Any) -> None:
        try:
            awaited = self._coroutine.send(None)
        except StopIteration as stop:
            self._done(stop.value)
        except BaseException as error:
            self._done(error)
            if not isinstance(error, Exception):
                raise
        else:
            self._wait(awaited)

    def _wait(self, awaited: Any) -> None:
        if isinstance(awaited, Reply):
            awaited.add_done_callback(self._step)
            return
        if awaited is None:
            asyncio.get_running_loop().call_soon(self._step, None)
            return
        if getattr(awaited, "_asyncio_future_blocking", False):
            awaited._asyncio_future_blocking = False
        awaited.add_done_callback(self._step)

    def close(self) -> None:
        """Abandons the exchange: whatever it waits for is closed."""
        self._done = _ignore
        self._coroutine.close()


def _ignore(_: Any) -> None:
    """The result of an abandoned exchange goes nowhere."""
