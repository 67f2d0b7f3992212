"""Two targets asked for the same thing, the second only when the first is slow to begin: who begins first answers."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from penstock.core.errors import PenstockError
from penstock.core.reply import Meta, Reply
from penstock.core.request import Handler, Request


class Hedge:
    """`reply` is the winner's: its events and its end, never any of the other's. The loser is closed at once."""

    def __init__(self, request: Request, first: Reply, second: str, handler: Handler, after_s: float):
        self.reply = Reply(Meta(), self._close)
        self._request = request
        self._second = second
        self._handler = handler
        self._racing: list[Reply] = []
        self._winner: Reply | None = None
        self._failed: PenstockError | None = None
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = asyncio.get_running_loop().call_later(after_s, self._late)
        self._watch(first)

    def _late(self) -> None:
        self._timer = None
        self._task = asyncio.get_running_loop().create_task(self._ask())

    async def _ask(self) -> None:
        """Asks the second, unless the first has begun meanwhile."""
        try:
            reply = await self._handler(replace(self._request, model=self._second))
        except PenstockError:
            return
        if self._winner is not None or self.reply.done:
            reply.close()
        else:
            self._watch(reply)

    def _watch(self, reply: Reply) -> None:
        self._racing.append(reply)
        reply.add_done_callback(self._news)

    def _news(self, reply: Reply) -> None:
        if self._winner is None and not self._take_lead(reply):
            return
        if reply is not self._winner:
            return
        for event in reply.take():
            self.reply.emit(event)
        if reply.outcome is not None:
            self.reply.meta = reply.meta
            self.reply.settle(reply.outcome)
        elif not self.reply.done:
            reply.add_done_callback(self._news)

    def _take_lead(self, reply: Reply) -> bool:
        """Whether this one answers: it has begun, or is the last that could."""
        if isinstance(reply.outcome, PenstockError) and reply in self._racing:
            self._racing.remove(reply)
            if self._racing:
                return False
        self._winner = reply
        self.reply.meta = reply.meta
        self._rest()
        for other in self._racing:
            if other is not reply:
                other.close()
        return True

    def _rest(self) -> None:
        """Nobody else is asked any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _close(self) -> None:
        self._rest()
        if self._task is not None:
            self._task.cancel()
        for reply in self._racing:
            reply.close()
