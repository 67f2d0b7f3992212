"""The response cache of one route: whole answers, given again to those who ask the same."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial

import msgspec

from penstock.core.clock import Clock, system_clock
from penstock.core.errors import NotCached, PenstockError, Unavailable
from penstock.core.generation import Generation
from penstock.core.model import Models
from penstock.core.reply import Meta, Reply
from penstock.core.request import Hints, Request
from penstock.routing.responses.answers import Answers, Kept
from penstock.routing.responses.flight import Flight
from penstock.routing.responses.flights import Flights
from penstock.routing.responses.identity import Identity
from penstock.routing.responses.keys import key_of, repeatable
from penstock.routing.responses.member import Member, Start
from penstock.routing.responses.memory import Memory
from penstock.routing.responses.record import record_of
from penstock.routing.responses.shared import Shared
from penstock.routing.responses.similar import Similar, asked, without
from penstock.routing.settings import ResponseCacheSettings, RouteSettings

_NOTHING = Hints()
CACHED = "cached"
"""The target of a fallback or a ladder that is an older answer."""


@dataclass(slots=True)
class ResponseCounts:
    """A route's requests since start: each that may be answered from memory is a hit, a miss or shared."""

    hits: int = 0
    misses: int = 0
    shared: int = 0
    similar: int = 0
    stale: int = 0


class Responses:
    """`models`: who serves what; `shared`: answers that other servers keep too; `similar`: those to questions that
    mean the same. `clock` only grows; `wall` tells Unix time, which servers share."""

    def __init__(
        self,
        name: str,
        settings: RouteSettings,
        models: Models,
        *,
        shared: Shared | None = None,
        similar: Similar | None = None,
        clock: Clock = system_clock,
        wall: Clock = time.time,
    ):
        self.name = name
        self.settings = settings.cache or ResponseCacheSettings()
        self.counts = ResponseCounts()
        self._identity = Identity(name, settings, models)
        self._own = {target.partition("@")[0] for target in settings.models}
        self._stale = CACHED in (*settings.fallback, *(settings.ladder.steps if settings.ladder else ()))
        self._timeout_s = None if settings.timeout_ms is None else settings.timeout_ms / 1000
        self._life_s = self.settings.ttl_s + (self.settings.stale_s if self._stale else 0.0)
        self._answers = Answers(Memory(int(self.settings.max_mb * 2**20)), shared, self._life_s, clock, wall)
        self._similar = similar
        self._clock = clock
        self._wall = wall
        self._flights = Flights(self._answered, clock)

    async def answer(self, request: Request, start: Start, floor: float = 0.0) -> Reply:
        """The reply to a request: a kept answer, one under way for somebody else, or what `start` computes.

        `floor`: the least quality that its session has reached. Raises `NotCached` for a caller who wants nothing
        else than a kept answer, and what `start` raises.
        """
        hints = request.hints or _NOTHING
        key = self.key(request, floor)
        reads = key is not None and self.fresh(request) and not hints.no_cache and hints.max_age_s != 0
        if key is not None and reads and (kept := self._answers.here(key, self._oldest(hints))) is not None:
            return self._hit(kept)
        if key is None or hints.cached_only or hints.no_store:
            return await self._alone(key if reads else None, request, start, hints)
        member = Member(request, start, self._until(request))
        if not reads:
            return await self._flights.lead(key, member, alone=True)
        return await self._computed(key, member, floor)

    def key(self, request: Request, floor: float = 0.0) -> bytes | None:
        """What a request's answer is kept under; None when it is not: chance has a part in it, or it is too large."""
        if not (self._stale or self.fresh(request)):
            return None
        return key_of(self._identity.digest(), request, shared=self.settings.shared, floor=floor)

    def fresh(self, request: Request) -> bool:
        """Whether a kept answer is as good as a new one. Others are kept only where "cached" is a fallback."""
        return self.settings.random or repeatable(request)

    async def stale(self, request: Request, floor: float = 0.0) -> Reply:
        """The answer that a fallback or a ladder calls "cached": also one that is older than it should be. Raises
        `Unavailable` when there is none."""
        hints = request.hints or _NOTHING
        key = None if hints.no_cache else self.key(request, floor)
        oldest = self._oldest(hints, stale=True)
        kept = None if key is None else self._answers.here(key, oldest) or await self._answers.elsewhere(key, oldest)
        if kept is None:
            raise Unavailable("no model answers now, and no older answer to this request is kept")
        self.counts.stale += 1
        return self._given(kept, "an older answer")

    @property
    def memory(self) -> Memory:
        """The answers in this process."""
        return self._answers.memory

    @property
    def away(self) -> bool:
        """Whether what servers share does not answer at present."""
        return self._answers.shared is not None and self._answers.shared.away

    @property
    def under_way(self) -> int:
        """Computations that others may follow now."""
        return len(self._flights)

    # --- what is not in memory

    async def _computed(self, key: bytes, member: Member, floor: float) -> Reply:
        if self._flights.join(key, member):
            self.counts.shared += 1
            return member.reply
        self.counts.misses += 1
        further = self._answers.shared is not None or self._similar is not None
        return await self._flights.lead(key, member, partial(self._look, member.request, floor) if further else None)

    async def _look(self, request: Request, floor: float, flight: Flight) -> Reply | None:
        """The answer that another server keeps, or the one to a similar question."""
        kept = await self._answers.elsewhere(flight.key, self._oldest(request.hints))
        if kept is None:
            return await self._alike(request, floor, flight)
        self.counts.misses -= 1
        return self._hit(kept)

    async def _alike(self, request: Request, floor: float, flight: Flight) -> Reply | None:
        """The answer to a question that means the same. The question is noted for those that come."""
        similar, payload = self._similar, request.payload
        if similar is None or not isinstance(payload, Generation) or not (text := asked(payload)):
            return None
        context = self.key(msgspec.structs.replace(request, payload=without(payload)), floor)
        flight.question = None if context is None else await similar.question(request, context, text)
        while flight.question is not None and (match := similar.nearest(flight.question)) is not None:
            kept = self._answers.here(match.key, self._oldest(request.hints))
            if kept is not None:
                self.counts.misses -= 1
                self.counts.hits += 1
                self.counts.similar += 1
                return self._given(kept, f"the answer to a similar question, cosine {match.cosine:.3f}")
            if self._answers.knows(match.key):
                break
            similar.forget(match.key)
        return None

    async def _alone(self, key: bytes | None, request: Request, start: Start, hints: Hints) -> Reply:
        """A request that is neither kept nor shared: another server may still keep its answer."""
        kept = None if key is None else await self._answers.elsewhere(key, self._oldest(hints))
        if kept is not None:
            return self._hit(kept)
        if hints.cached_only:
            raise NotCached("no answer to this request is kept; ask without Cache-Control: only-if-cached")
        return await start(request)

    def _answered(self, flight: Flight, inner: Reply) -> None:
        """An answer was computed. It is kept if it is a full one, by the route's first choice: what another said in an
        hour of need should not outlive it."""
        meta, outcome = inner.meta, inner.outcome
        if meta.cache == "hit" or meta.degraded or meta.fallback or meta.model not in self._own:
            return
        if outcome is None or isinstance(outcome, PenstockError):
            return
        self._answers.keep(flight.key, record_of(self._wall(), meta, flight.events, outcome))
        if self._similar is not None and flight.question is not None:
            self._similar.add(flight.key, flight.question)

    # --- small words

    def _hit(self, kept: Kept) -> Reply:
        self.counts.hits += 1
        return self._given(kept, "kept answer")

    def _given(self, kept: Kept, why: str) -> Reply:
        meta = Meta()
        meta.route, meta.why, meta.age_s, meta.tries = self.name, why, kept.age_s, 0
        return kept.record.give(meta)

    def _oldest(self, hints: Hints | None, *, stale: bool = False) -> float:
        """How old an answer may be, by the settings and the caller, in seconds."""
        ours = self._life_s if stale else self.settings.ttl_s
        return ours if hints is None or hints.max_age_s is None else min(hints.max_age_s, ours)

    def _until(self, request: Request) -> float:
        if self._timeout_s is None:
            return request.deadline
        return min(request.deadline, self._clock() + self._timeout_s)
