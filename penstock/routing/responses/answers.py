"""Answers that are kept: in this process, and where several servers share them."""

from __future__ import annotations

from typing import NamedTuple

from penstock.core.clock import Clock
from penstock.routing.responses.memory import Entry, Memory
from penstock.routing.responses.record import Record, packed, unpacked
from penstock.routing.responses.shared import Shared


class Kept(NamedTuple):
    """An answer, and how old it is in seconds."""

    record: Record
    age_s: float


class Answers:
    """`life_s`: after so many seconds an answer is forgotten. `clock` only grows; `wall` tells Unix time, which servers
    share."""

    def __init__(self, memory: Memory, shared: Shared | None, life_s: float, clock: Clock, wall: Clock):
        self.memory = memory
        self.shared = shared
        self._life_s = life_s
        self._clock = clock
        self._wall = wall

    def here(self, key: bytes, oldest_s: float) -> Kept | None:
        """The answer in this process's memory, if it is not older than that."""
        now = self._clock()
        entry = self.memory.find(key, now)
        if entry is None or (age := max(0.0, now - entry.at)) > oldest_s:
            return None
        record = unpacked(key, entry.data)
        return None if record is None else Kept(record, age)

    async def elsewhere(self, key: bytes, oldest_s: float) -> Kept | None:
        """The answer that another server keeps, if it is not older than that. It is kept here from now on."""
        data = None if self.shared is None else await self.shared.find(key)
        record = None if data is None else unpacked(key, data)
        if data is None or record is None or not record.sound():
            return None
        age, now = max(0.0, self._wall() - record.at), self._clock()
        self.memory.keep(key, Entry(data, now - age, now - age + self._life_s))
        return Kept(record, age) if age <= oldest_s else None

    def keep(self, key: bytes, record: Record) -> None:
        """Keeps an answer here, and for other servers."""
        now, data = self._clock(), packed(key, record)
        self.memory.keep(key, Entry(data, now, now + self._life_s))
        if self.shared is not None:
            self.shared.keep(key, data, self._life_s)

    def knows(self, key: bytes) -> bool:
        """Whether there is an answer in this process's memory, however old."""
        return self.memory.find(key, self._clock()) is not None
