"""A computation under way, and all who wait for it. Whoever comes late gets what was said so far, then the rest."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from penstock.core.deadline import NEVER
from penstock.core.errors import Cancelled
from penstock.core.generation import Event
from penstock.core.reply import Outcome, Reply
from penstock.routing.responses.member import Member
from penstock.routing.responses.record import merged
from penstock.routing.responses.similar import Question

ALIKE = 1.1
"""Who may wait up to so many times as long as a computation may take is served by it as by one of his own."""


class Flight:
    """`starter` began the computation, in its own time; `owner` pays for it: the next one, when it leaves and others
    stay. `span_s`: how long it may take, from its beginning; `events`: said so far; `inner`: the computation's own
    reply; `task`: runs it, where no caller does; `question`: what similar ones are found by."""

    __slots__ = (
        "_on_end",
        "ended",
        "events",
        "inner",
        "key",
        "members",
        "owner",
        "question",
        "span_s",
        "starter",
        "task",
    )

    def __init__(
        self, key: bytes, owner: Member, on_end: Callable[[Flight, Outcome], Sequence[Member]], span_s: float = NEVER
    ):
        self.key = key
        self.span_s = span_s
        self.starter = self.owner = owner
        self.members: dict[Member, None] = {owner: None}
        self.events: list[Event] = []
        self.inner: Reply | None = None
        self.ended = False
        self.task: asyncio.Task[None] | None = None
        self.question: Question | None = None
        self._on_end = on_end
        owner.flight = self

    def lasts(self, left_s: float) -> bool:
        """Whether it may take as long as somebody who comes now may wait: the time of whoever began it is then none
        that others would not have had."""
        return left_s <= ALIKE * self.span_s

    def join(self, member: Member) -> None:
        """One more waits for it."""
        member.flight = self
        self.members[member] = None
        member.reply.meta.cache = "hit"
        if self.events:
            self._inform(member)
            for event in merged(self.events):
                member.tell(event)

    def leave(self, member: Member) -> None:
        """One waits no longer. Without anybody, the computation is given up."""
        self.members.pop(member, None)
        if self.ended:
            return
        if not self.members:
            self._give_up()
            self._inform(member)
        elif member is self.owner:
            self.owner = next(iter(self.members))
            self._inform(self.owner)
            self._inform(member)

    def follow(self, inner: Reply) -> None:
        """The computation has begun."""
        if self.ended:
            inner.close()
            return
        self.inner = inner
        self._inform(self.owner)
        self._news(inner)

    def end(self, outcome: Outcome) -> None:
        """The computation is over."""
        if self.ended:
            return
        self.ended = True
        told = self._on_end(self, outcome)
        self.members.clear()
        for member in told:
            self._inform(member)
            member.settle(outcome)

    def _inform(self, member: Member) -> None:
        """Tells who answers, and what it took: its owner pays for it."""
        if self.inner is not None and member is self.owner:
            member.pay(self.inner.meta)
        elif self.inner is not None:
            member.share(self.inner.meta)

    def _news(self, inner: Reply) -> None:
        for event in inner.take():
            self._tell(event)
        if self.ended:
            return
        if inner.outcome is None:
            inner.add_done_callback(self._news)
        else:
            self.end(inner.outcome)

    def _tell(self, event: Event) -> None:
        first = not self.events
        self.events.append(event)
        for member in list(self.members):
            if first:
                self._inform(member)
            member.tell(event)

    def _give_up(self) -> None:
        self.ended = True
        self._on_end(self, Cancelled("nobody waits for the answer"))
        if self.inner is not None:
            self.inner.close()
        if self.task is not None:
            self.task.cancel()
