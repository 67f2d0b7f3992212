"""Batching by tokens: a batch holds so much text, of lengths as equal as there are."""

from __future__ import annotations

import math

from penstock.scheduling.queue import Lane, Rank, WorkQueue
from penstock.scheduling.tokens import LaneKey
from penstock.scheduling.work import Work

Waiting = tuple[Lane, Work]


class TokenBatcher:
    """Fills a batch up to `max_tokens` (and `max_rows`): from the lane of the work whose turn it is, then from those
    whose rows are nearest in length.

    It starts when it is full or its oldest work has waited `max_wait_s` (0: at once). A longer piece of
    work runs alone. Keys are `LaneKey`s.
    """

    def __init__(self, max_tokens: int, max_rows: int, max_wait_s: float = 0.0):
        self.max_tokens = max_tokens
        self.max_rows = max_rows
        self.max_wait_s = max_wait_s

    def next(self, queue: WorkQueue, now: float, *, hurry: bool = False) -> list[Work] | float:
        """A batch, or when to ask again."""
        kinds: dict[object, list[Waiting]] = {}
        for lane, head in queue.heads():
            kinds.setdefault(_key(lane).kind, []).append((lane, head))
        best: tuple[Rank, list[Waiting]] | None = None
        wake = math.inf
        for waiting in kinds.values():
            ripe_at = now if hurry else self._ripe_at(waiting, now)
            first = min(lane.rank(head) for lane, head in waiting)
            if ripe_at > now:
                wake = min(wake, ripe_at)
            elif best is None or first < best[0]:
                best = (first, waiting)
        return wake if best is None else queue.take_by_size(_nearest_first(best[1]), self.max_rows, self.max_tokens)

    def _ripe_at(self, waiting: list[Waiting], now: float) -> float:
        full = (
            sum(lane.size for lane, _ in waiting) >= self.max_tokens
            or sum(lane.rows for lane, _ in waiting) >= self.max_rows
        )
        return now if full or not self.max_wait_s else min(lane.oldest() for lane, _ in waiting) + self.max_wait_s


def _nearest_first(waiting: list[Waiting]) -> list[Lane]:
    """The lane of the work whose turn it is, then the others by how far their length is from its."""
    first = _key(min(waiting, key=lambda pair: pair[0].rank(pair[1]))[0]).band
    return sorted((lane for lane, _ in waiting), key=lambda lane: (abs(_key(lane).band - first), _key(lane).band))


def _key(lane: Lane) -> LaneKey:
    assert isinstance(lane.key, LaneKey)
    return lane.key
