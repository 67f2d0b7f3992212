"""Two targets asked for the same thing, the second only when the first is slow to begin: who begins first answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from penstock.core.errors import Internal, Overloaded, PenstockError, ProviderSilent
from penstock.core.reply import Reply
from penstock.routing.watched import Asked
from penstock.telemetry.logs import logger

log = logger("routing")


class Hedge:
    """`reply` is the winner's: its events and its end, never any of the other's. The loser is closed at once.

    `second`: asked for when it is time, gives the name of the other target, or "" where none may be asked; `won`: it,
    once it answers.
    """

    def __init__(self, first: Reply, second: Callable[[], str], ask: Asked, after_s: float):
        self.reply = Reply(first.meta, self._close)
        self.won = ""
        self._first = first
        self._choose = second
        self._second = ""
        self._ask = ask
        self._racing: list[Reply] = []
        self._winner: Reply | None = None
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = asyncio.get_running_loop().call_later(after_s, self._late)
        self._watch(first)

    def _late(self) -> None:
        self._timer = None
        self._second = self._choose()
        if self._second:
            self._task = asyncio.get_running_loop().create_task(self._race())

    async def _race(self) -> None:
        """Asks the second; whatever it says, the first goes on."""
        reply: Reply | None = None
        error: PenstockError | None = None
        try:
            reply = await self._ask(self._second)
        except PenstockError as refused:
            error = refused
        except Exception:
            log.exception("bug", model=self._second)
            error = Internal("an internal error; the log says more")
        self._task = None
        if reply is None:
            if not self._racing and error is not None:
                self.reply.settle(error)
        elif self._winner is not None or self.reply.done:
            reply.close()
        else:
            self._watch(reply)

    def _watch(self, reply: Reply) -> None:
        self._racing.append(reply)
        reply.on_alive = self.reply.alive
        if reply.working:
            self.reply.alive()
        reply.add_done_callback(self._news)

    def _news(self, reply: Reply) -> None:
        if self.reply.done or (self._winner is None and not self._leads(reply)) or reply is not self._winner:
            return
        if events := reply.take():
            self.reply.emit_all(events)
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
        self.won = "" if reply is self._first else self._second
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
            reply.abandon(self._why(reply))

    def _why(self, reply: Reply) -> PenstockError:
        """One that had not begun to work is not to blame for the other's silence."""
        why = self.reply.outcome
        assert isinstance(why, PenstockError)
        innocent = isinstance(why, ProviderSilent) and not reply.working
        return Overloaded("the request waited too long for its turn") if innocent else why
