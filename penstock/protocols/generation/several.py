"""Several replies as one: requests that belong together, such as the prompts of one completion."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from copy import copy
from functools import partial

from msgspec.structs import replace

from penstock.core.errors import Cancelled, PenstockError
from penstock.core.generation import Event, Generated, Started, Usage
from penstock.core.reply import Meta, Reply
from penstock.core.request import give_up


class Several:
    """Replies to requests of `choices` answers each; their choices are numbered through.

    The first error ends them all, and so does closing.
    """

    def __init__(self, replies: Sequence[Reply], choices: int):
        self._replies = replies
        self._choices = choices
        self._asked: set[int] = set()
        self._waiter: asyncio.Future[None] | None = None

    @property
    def meta(self) -> Meta:
        """The first reply's: the same model answers all of them. Once they have ended, with what all of them cost."""
        meta = copy(self._replies[0].meta)
        costs = [reply.meta.cost for reply in self._replies]
        meta.cost = None if None in costs else sum(cost or 0.0 for cost in costs)
        return meta

    @property
    def done(self) -> bool:
        """Whether all have ended, or one has failed."""
        return all(reply.done for reply in self._replies) or self._failed() is not None

    def take(self) -> list[Event]:
        """The events that came and were not read yet, of all replies."""
        return [
            event if isinstance(event, Started) else replace(event, choice=event.choice + index * self._choices)
            for index, reply in enumerate(self._replies)
            for event in reply.take()
        ]

    def news(self) -> asyncio.Future[None]:
        """Done at the next event or end of any reply."""
        if self._waiter is None or self._waiter.done():
            self._waiter = asyncio.get_running_loop().create_future()
        for index, reply in enumerate(self._replies):
            if index not in self._asked and not reply.done:
                self._asked.add(index)
                reply.add_done_callback(partial(self._wake, index))
        return self._waiter

    def _wake(self, index: int, _: Reply) -> None:
        self._asked.discard(index)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def generated(self) -> Generated:
        """How they went, usage summed up. Raises the error of one that failed."""
        usages = [reply.generated().usage for reply in self._in_order()]
        return Generated(Usage(*(sum(numbers) for numbers in zip(*map(_numbers, usages), strict=True))))

    def _in_order(self) -> list[Reply]:
        failed = self._failed()
        return [failed] if failed is not None else list(self._replies)

    def _failed(self) -> Reply | None:
        return next((r for r in self._replies if r.done and not isinstance(r.outcome, Generated)), None)

    def close(self) -> None:
        """Gives all of them up; where one has failed, the others for the same reason: nobody left them."""
        failed = self._failed()
        reason = None if failed is None else failed.outcome
        give_up(self._replies, reason if isinstance(reason, PenstockError) else Cancelled("the request was cancelled"))


def _numbers(usage: Usage) -> tuple[int, ...]:
    return tuple(getattr(usage, name) for name in Usage.__struct_fields__)
