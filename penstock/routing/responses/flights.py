"""One computation for all who ask the same meanwhile: the first starts it, the others follow it live."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from penstock.core.clock import Clock, system_clock
from penstock.core.deadline import NEVER
from penstock.core.errors import Cancelled, DeadlineExceeded, Internal, PenstockError
from penstock.core.reply import Meta, Outcome, Reply
from penstock.routing.responses.flight import Flight
from penstock.routing.responses.member import Member
from penstock.telemetry.logs import logger

log = logger("routing")
NOT_THEIRS = (Cancelled, DeadlineExceeded)
"""Errors that a computation has from who started it, and never from the question."""

Look = Callable[[Flight], Awaitable[Reply | None]]
"""Looks further for a kept answer before anything is computed."""
Ended = Callable[[Flight, Reply], None]
"""Hears of every computation that ended well, before those who wait do."""


class Flights:
    """Computations under way, by key."""

    def __init__(self, on_answer: Ended, clock: Clock = system_clock):
        self._on_answer = on_answer
        self._clock = clock
        self._open: dict[tuple[bytes, bool], Flight] = {}

    def __len__(self) -> int:
        return len(self._open)

    def join(self, key: bytes, member: Member) -> bool:
        """Follows the computation under way; False when there is none that lasts as long as the member may wait."""
        flight = self._open.get(_place(key, member))
        if flight is None or not flight.lasts(self._left(member)):
            return False
        self._watch(member)
        flight.join(member)
        return True

    async def lead(self, key: bytes, member: Member, look: Look | None = None, *, alone: bool = False) -> Reply:
        """Starts a computation; `alone`: nobody may follow it. Raises only what is no `PenstockError`."""
        flight = self._begin(key, member, alone)
        await self._run(flight, look)
        return member.reply

    def _begin(self, key: bytes, owner: Member, alone: bool) -> Flight:
        flight = Flight(key, owner, self._ended, self._left(owner))
        if not alone:
            self._open[_place(key, owner)] = flight
        return flight

    async def _run(self, flight: Flight, look: Look | None) -> None:
        """Starts the owner's computation. However that ends, the flight will end."""
        owner = flight.owner
        try:
            reply = None if look is None else await look(flight)
            if reply is None:
                reply = await owner.start(owner.request)
        except PenstockError as error:
            # A reply that has failed: who waits is told outside of this block, or errors of theirs would name this one.
            reply = Reply(Meta())
            reply.settle(error)
        except BaseException as error:
            bug = isinstance(error, Exception)
            flight.end(Internal("the request failed") if bug else Cancelled("the request was cancelled"))
            raise
        flight.follow(reply)

    def _ended(self, flight: Flight, outcome: Outcome) -> Sequence[Member]:
        """A computation is over. Returns those who are told its outcome; the others start again."""
        place = _place(flight.key, flight.starter)
        if self._open.get(place) is flight:
            del self._open[place]
        members = list(flight.members)
        if not isinstance(outcome, PenstockError):
            if flight.inner is not None:
                self._on_answer(flight, flight.inner)
        elif isinstance(outcome, NOT_THEIRS) and not flight.events:
            self._again(flight.key, [member for member in members if member is not flight.starter])
            return [flight.starter] if flight.starter in flight.members else []
        return members

    def _again(self, key: bytes, members: Sequence[Member]) -> None:
        """Those who did not cause the failure ask again, together: whoever may wait the longest begins."""
        for member in sorted(members, key=self._left, reverse=True):
            flight = self._open.get(_place(key, member))
            if flight is not None and flight.lasts(self._left(member)):
                flight.join(member)
            elif not member.reply.done:
                flight = self._begin(key, member, False)
                flight.task = asyncio.get_running_loop().create_task(self._run_again(flight))

    async def _run_again(self, flight: Flight) -> None:
        try:
            await self._run(flight, None)
        except Exception:
            log.exception("question_not_asked")

    def _left(self, member: Member) -> float:
        """How long a member may wait, in seconds."""
        return max(0.0, member.deadline - self._clock())

    def _watch(self, member: Member) -> None:
        """Whose time ends while others compute is told so."""
        if member.deadline != NEVER:
            member.timer = asyncio.get_running_loop().call_later(self._left(member), member.expire)


def _place(key: bytes, member: Member) -> tuple[bytes, bool]:
    """What those share who may follow one another. An answer that goes out whole may break in the middle and be given
    by the next model, which one that is streamed may not."""
    return key, member.request.whole
