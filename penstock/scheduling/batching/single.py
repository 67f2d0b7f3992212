"""No batching: every request runs alone."""

from __future__ import annotations

import math

from penstock.scheduling.queue import WorkQueue
from penstock.scheduling.work import Work


class SingleBatcher:
    """The request whose turn it is, by itself."""

    def next(self, queue: WorkQueue, now: float, *, hurry: bool = False) -> list[Work] | float:
        """One piece of work; infinity when nothing waits."""
        lanes = list(queue.heads())
        if not lanes:
            return math.inf
        lane, _ = min(lanes, key=lambda pair: pair[0].rank(pair[1]))
        return queue.take(lane, 0)
