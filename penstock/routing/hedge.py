"""Two targets asked for the same thing, the second only when the first is slow to begin: who begins first answers."""

from __future__ import annotations

import asyncio

from penstock.core.errors import PenstockError
from penstock.core.reply import Reply
from penstock.routing.watched import Asked


class Hedge:
    """`reply` is the winner's: its events and its end, never any of the other's. The loser is closed at once."""

    def __init__(self, first: Reply, second: str, ask: Asked, after_s: float):
        self.reply = Reply(first.meta, self._close)
        self._second = second
        self._ask = ask
        self._racing: list[Reply] = []
        self._winner: Reply | None = None
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = asyncio.get_running_loop().call_later(after_s, self._late)
        self._watch(first)

    def _late(self) -> None:
        self._timer = None
        self._task = asyncio.get_running_loop().create_task(self._race())

    async def _race(self) -> None:
        """Asks the second; whatever it says, the first goes on."""
        try:
            reply = await self._ask(self._second)
        except PenstockError as error:
            self._task = None
            if not self._racing:
                self.reply.settle(error)
            return
        self._task = None
        if self._winner is not None or self.reply.done:
            reply.close()
        else:
            self._watch(reply)

    def _watch(self, reply: Reply) -> None:
        self._racing.append(reply)
        reply.add_done_callback(self._news)

    def _news(self, reply: Reply) -> None:
        if self.reply.done or (self._winner is None and not self._leads(reply)) or reply is not self._winner:
            return
        self.reply.emit_all(reply.take())
        if reply.outcome is not None:
            self.reply.settle(reply.outcome)
        elif not self.reply.done:
            reply.add_done_callback(self._news)

    def _leads(self, reply: Reply) -> bool:
        """Whether this one answers: it has begun, or is the last that could."""
        if isinstance(reply.outcome, PenstockError) and (len(self._racing) > 1 or self._task is not None):
            self._racing.remove(reply)
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
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def _close(self) -> None:
        self._rest()
        for reply in self._racing:
            reply.abandon(self._why())

    def _why(self) -> PenstockError:
        assert isinstance(self.reply.outcome, PenstockError)
        return self.reply.outcome
