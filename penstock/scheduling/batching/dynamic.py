"""Dynamic batching: a free worker takes what waits; optionally it waits a little for company."""

from __future__ import annotations

import math

from penstock.scheduling.queue import Lane, Rank, WorkQueue
from penstock.scheduling.work import Work


class DynamicBatcher:
    """A batch starts when it is full or its oldest work has waited `max_wait_s` (0: at once).

    Of several batches that may start, the one whose head's turn it is does.
    """

    def __init__(self, max_size: int, max_wait_s: float = 0.0):
        self.max_size = max_size
        self.max_wait_s = max_wait_s

    def next(self, queue: WorkQueue, now: float, *, hurry: bool = False) -> list[Work] | float:
        """A batch, or when to ask again."""
        best: tuple[Rank, Lane] | None = None
        wake = math.inf
        wait_s = 0.0 if hurry else self.max_wait_s
        for lane, head in queue.heads():
            ripe_at = lane.oldest() + wait_s if wait_s and lane.rows < self.max_size else now
            if ripe_at > now:
                wake = min(wake, ripe_at)
            elif best is None or lane.rank(head) < best[0]:
                best = (lane.rank(head), lane)
        return wake if best is None else queue.take(best[1], self.max_size)
