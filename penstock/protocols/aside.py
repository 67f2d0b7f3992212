"""Work that would hold up the event loop, done beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from penstock.core.errors import PenstockError

HEAVY = 256 * 2**10
"""Bytes from which decoding or packing a body goes aside: some milliseconds of work."""

_T = TypeVar("_T")
_Outcome = tuple[Any, BaseException | None]
# One: a thread that holds the interpreter's lock delays the event loop by a turn; more would gain nothing.
_threads = ThreadPoolExecutor(1, thread_name_prefix="penstock-aside")


async def aside(function: Callable[..., _T], *arguments: Any) -> _T:
    """What the function returns, or raises, from a thread; work that has not begun is dropped with its request.

    Unlike `run_in_executor`, it leaves no reference cycles: bodies and arrays are freed at once.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[_Outcome] = loop.create_future()
    job = _threads.submit(_run, function, arguments, loop, done)
    try:
        value, error = await done
    finally:
        job.cancel()
        del done
    if error is None:
        return value  # type: ignore[no-any-return]
    try:
        raise error
    finally:
        del error


def _run(
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    loop: asyncio.AbstractEventLoop,
    done: asyncio.Future[_Outcome],
) -> None:
    """In the thread: calls, and tells the loop. A refusal goes without the frames that hold what was refused."""
    outcome: _Outcome
    try:
        outcome = function(*arguments), None
    except PenstockError as error:
        error.__cause__ = error.__context__ = None
        outcome = None, error.with_traceback(None)
    except BaseException as bug:
        outcome = None, bug
    loop.call_soon_threadsafe(_settle, done, outcome)


def _settle(done: asyncio.Future[_Outcome], outcome: _Outcome) -> None:
    if not done.done():
        done.set_result(outcome)
