"""One who waits for an answer that is computed, perhaps for somebody else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from penstock.core.deadline import Deadline
from penstock.core.errors import DeadlineExceeded
from penstock.core.generation import Event
from penstock.core.reply import Meta, Outcome, Reply
from penstock.core.request import Request
from penstock.telemetry.logs import logger

if TYPE_CHECKING:
    from penstock.routing.responses.flight import Flight

log = logger("routing")
Start = Callable[[Request], Awaitable[Reply]]
"""Computes the answer to a request."""
_PAID = frozenset(("age_s", "busy_s", "cache", "cost", "tries"))
_ALL = tuple(name for name in Meta.__struct_fields__ if name != "quotas")
_SHARED = tuple(name for name in _ALL if name not in _PAID)


class Member:
    """`start` computes the answer for it; `deadline`: when it must have it; `flight`: what it waits for."""

    __slots__ = ("deadline", "flight", "reply", "request", "start", "timer")

    def __init__(self, request: Request, start: Start, deadline: Deadline):
        self.request = request
        self.start = start
        self.deadline = deadline
        self.flight: Flight | None = None
        self.reply = Reply(Meta(), self._left)
        self.timer: asyncio.TimerHandle | None = None

    def tell(self, event: Event) -> None:
        """Hands an event on. Whoever waits must not harm the others who wait for the same."""
        try:
            self.reply.emit(event)
        except Exception:
            log.exception("reply_broken", request_id=self.request.id)

    def pay(self, meta: Meta) -> None:
        """Takes over who answers, and all that it took."""
        own = self.reply.meta
        for name in _ALL:
            setattr(own, name, getattr(meta, name))
        own.cache = meta.cache or "miss"

    def share(self, meta: Meta) -> None:
        """Takes over who answers, and the times: the answer itself was paid for by somebody else."""
        own = self.reply.meta
        for name in _SHARED:
            setattr(own, name, getattr(meta, name))
        own.cache, own.age_s, own.cost = "hit", meta.age_s, 0.0

    def settle(self, outcome: Outcome) -> None:
        """Ends its reply."""
        self._rest()
        self.flight = None
        try:
            self.reply.settle(outcome)
        except Exception:
            log.exception("reply_broken", request_id=self.request.id)

    def expire(self) -> None:
        """Its time has passed."""
        self._leave()
        self.settle(DeadlineExceeded("the request was not answered within its time; allow more, or ask for less"))

    def _left(self) -> None:
        """The client has gone, or reads too slowly."""
        self._rest()
        self._leave()

    def _leave(self) -> None:
        flight, self.flight = self.flight, None
        if flight is not None:
            flight.leave(self)

    def _rest(self) -> None:
        timer, self.timer = self.timer, None
        if timer is not None:
            timer.cancel()
