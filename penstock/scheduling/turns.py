"""Whose turn it is where tenants wait in one queue: start-time fair queueing (Goyal, Vin, Cheng, 1996). Pure.

Every tenant has a counter of what it was given, by its weight; the one that was given least is next. A tenant that did
not wait does not save up its share: it starts where the others have got to. Tenants are told apart by one of a fixed
number of places, so that any number of them costs the same; two that fall on one place share it.
"""

from __future__ import annotations

from penstock.scheduling.work import Work

PLACES = 64


def place_of(tenant: str | None) -> int:
    """The place of a tenant; 0 is that of requests without one."""
    return 1 + hash(tenant) % (PLACES - 1) if tenant else 0


class Turns:
    """`given`: rows (or tokens, where rows are counted so) by place."""

    __slots__ = ("_reached", "_waiting", "given")

    def __init__(self) -> None:
        self.given = [0.0] * PLACES
        self._waiting = [0] * PLACES
        self._reached = 0.0

    def came(self, work: Work) -> None:
        """Work has begun to wait."""
        place = work.place
        if not self._waiting[place]:
            self.given[place] = max(self.given[place], self._reached)
        self._waiting[place] += 1

    def left(self, work: Work) -> None:
        """Waiting work has ended."""
        self._waiting[work.place] -= 1

    def taken(self, work: Work) -> None:
        """Work waits no longer: it runs."""
        place = work.place
        self._waiting[place] -= 1
        self._reached = max(self._reached, self.given[place])
        self.given[place] += (work.size or work.rows or 1) / work.weight
