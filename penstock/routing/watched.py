"""Asks a target, and tells the pool how it does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from penstock.core.clock import Clock
from penstock.core.errors import Cancelled, PenstockError
from penstock.core.reply import Reply
from penstock.routing.pool import Pool

Asked = Callable[[str], Awaitable[Reply]]
"""Asks the target of that name; raises what it says when it does not take the request."""


class Watched:
    """Every request to a target is counted when it goes, and when it ends."""

    __slots__ = ("_ask", "_clock", "_pool")

    def __init__(self, ask: Asked, pool: Pool, clock: Clock):
        self._ask = ask
        self._pool = pool
        self._clock = clock

    async def __call__(self, target: str) -> Reply:
        """The target's reply. Raises what it says when it does not take the request."""
        asked = self._clock()
        self._pool.asked(target, asked)
        try:
            reply = await self._ask(target)
        except BaseException as error:
            told = error if isinstance(error, PenstockError) else Cancelled("it was not asked to the end")
            now = self._clock()
            self._pool.failed(target, told, now, now - asked)
            raise
        reply.add_done_callback(partial(self._spoke, target))
        reply.add_end_callback(partial(self._ended, target, asked))
        return reply

    def _spoke(self, target: str, reply: Reply) -> None:
        if reply.outcome is None:
            self._pool.spoke(target)

    def _ended(self, target: str, asked: float, reply: Reply) -> None:
        now = self._clock()
        if isinstance(reply.outcome, PenstockError):
            self._pool.failed(target, reply.outcome, now, 0.0 if reply.meta.usage is not None else now - asked)
        else:
            self._pool.answered(target, now - asked, reply.meta.busy_s, now)
