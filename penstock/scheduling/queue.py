"""The bounded queue of one deployment: by urgency, and by what may run together. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable, Iterator

from penstock.core.errors import Overloaded, TooLarge
from penstock.scheduling.work import Phase, Work

PATIENCE_S = 1.0
"""A request of the next lower priority is as urgent as one that arrives this much later, so
priorities never starve anyone."""


def urgency(work: Work) -> float:
    """Smaller is more urgent: arrival, and a handicap of `PATIENCE_S` per priority level."""
    return work.arrived + work.level * PATIENCE_S


class Lane:
    """Queued work of one key, first in first out within each priority level.

    `rows` and `size` (estimated tokens) are those of all its live work.
    """

    __slots__ = ("key", "levels", "rows", "size")

    def __init__(self, key: Hashable = None) -> None:
        self.key = key
        self.levels: dict[int, deque[Work]] = {}
        self.rows = 0
        self.size = 0

    def push(self, work: Work) -> None:
        """Adds to the end of its level."""
        line = self.levels.get(work.level)
        if line is None:
            line = self.levels[work.level] = deque()
        line.append(work)
        self.rows += work.rows
        self.size += work.size

    def head(self) -> Work | None:
        """The most urgent live work, ended work before it swept away."""
        best: Work | None = None
        for level in list(self.levels):
            line = self.levels[level]
            while line and line[0].phase is not Phase.QUEUED:
                line.popleft()
            if not line:
                del self.levels[level]
            elif best is None or urgency(line[0]) < urgency(best):
                best = line[0]
        return best

    def pop(self, work: Work) -> None:
        """Removes the work that `head` returned."""
        self.levels[work.level].popleft()
        self.rows -= work.rows
        self.size -= work.size

    def oldest(self) -> float:
        """The earliest arrival among the levels' heads; call after `head`."""
        return min(line[0].arrived for line in self.levels.values())

    def sweep(self) -> None:
        """Forgets ended work in the middle of the lines."""
        for level, line in list(self.levels.items()):
            self.levels[level] = live = deque(work for work in line if work.phase is Phase.QUEUED)
            if not live:
                del self.levels[level]


class WorkQueue:
    """Bounded in requests. Cancelled work leaves the counts at once and the lines lazily."""

    def __init__(self, capacity: int):
        self.capacity = capacity
        self.lanes: dict[Hashable, Lane] = {}
        self.live = 0
        self._ended = 0

    def __len__(self) -> int:
        return self.live

    def push(self, work: Work) -> None:
        """Queues work. Raises `Overloaded` when the queue is full."""
        self.check_room(1)
        lane = self.lanes.get(work.key)
        if lane is None:
            lane = self.lanes[work.key] = Lane(work.key)
        lane.push(work)
        self.live += 1

    def check_room(self, works: int) -> None:
        """Raises `Overloaded` unless so much more work fits, `TooLarge` when it never could."""
        if works > self.capacity:
            raise TooLarge(f"the queue holds {self.capacity} batches, this request makes {works}; send fewer rows")
        if self.live + works > self.capacity:
            raise Overloaded(f"the queue is full (it holds {self.capacity}); try again shortly")

    def removed(self, work: Work) -> None:
        """Accounts for queued work that has just ended (cancelled or expired)."""
        self.live -= 1
        lane = self.lanes[work.key]
        lane.rows -= work.rows
        lane.size -= work.size
        self._ended += 1
        if self._ended > self.live + 64:
            self._compact()

    def heads(self) -> Iterator[tuple[Lane, Work]]:
        """Every lane that holds live work, with its most urgent one."""
        for key in list(self.lanes):
            lane = self.lanes[key]
            head = lane.head()
            if head is None:
                del self.lanes[key]
            else:
                yield lane, head

    def take(self, lane: Lane, max_rows: int) -> list[Work]:
        """The most urgent work of a lane, in order, up to `max_rows` rows (at least one work)."""
        taken: list[Work] = []
        rows = 0
        head = lane.head()
        while head is not None and (not taken or rows + head.rows <= max_rows):
            lane.pop(head)
            taken.append(head)
            rows += head.rows
            head = lane.head() if rows < max_rows else None
        self.live -= len(taken)
        return taken

    def take_by_size(self, lanes: Iterable[Lane], max_rows: int, max_size: int) -> list[Work]:
        """The most urgent work of each lane in turn, up to both bounds (at least one work)."""
        taken: list[Work] = []
        rows = size = 0
        for lane in lanes:
            head = lane.head()
            while head is not None and (not taken or (rows + head.rows <= max_rows and size + head.size <= max_size)):
                lane.pop(head)
                taken.append(head)
                rows += head.rows
                size += head.size
                head = lane.head()
        self.live -= len(taken)
        return taken

    def _compact(self) -> None:
        for key, lane in list(self.lanes.items()):
            lane.sweep()
            if not lane.levels:
                del self.lanes[key]
        self._ended = 0
