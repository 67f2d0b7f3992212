"""Work that would hold up the event loop, done beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

HEAVY = 256 * 2**10
"""Bytes from which decoding or packing a body goes aside: some milliseconds of work."""

_P = ParamSpec("_P")
_T = TypeVar("_T")
# Few threads: each that holds the interpreter's lock delays the event loop by one turn.
_threads = ThreadPoolExecutor(2, thread_name_prefix="penstock-aside")


async def aside(function: Callable[_P, _T], *arguments: _P.args, **options: _P.kwargs) -> _T:
    """What the function returns, or raises, from a thread; work that has not begun is dropped with its request."""
    future = asyncio.wrap_future(_threads.submit(function, *arguments, **options))
    try:
        return await future
    finally:
        future.cancel()
