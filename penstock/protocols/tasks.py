"""Work in tasks of its own: what ends with its client, and what goes on without.

An error that comes when its client has left is nobody's: it is looked at here, or asyncio would log its traceback.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


async def ending_with_its_client(work: Coroutine[Any, Any, _T]) -> _T:
    """What the work gives, done in a task that ends with whoever waits for it: a generator that is waited for outside
    of one is not told when its reader leaves."""
    task = asyncio.get_running_loop().create_task(work)
    task.add_done_callback(_looked_at)
    try:
        return await task
    finally:
        task.cancel()


def going_on(task: asyncio.Task[_T]) -> asyncio.Future[_T]:
    """What the task gives, for a client that may leave while the task goes on. Somebody else has to hold the task."""
    shield = asyncio.shield(task)
    shield.add_done_callback(_looked_at)
    return shield


def _looked_at(future: asyncio.Future[Any]) -> None:
    if not future.cancelled():
        future.exception()
