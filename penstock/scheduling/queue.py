"""The bounded queue of one deployment: fair between tenants, by urgency within each, and by what may run together.
Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable, Iterator

from penstock.core.errors import Overloaded, TooLarge
from penstock.scheduling.turns import Turns
from penstock.scheduling.work import Phase, Work

MOST_LEVELS = 1024
"""More than there are priority levels."""
PATIENCE_S = 1.0
"""A request of the next lower priority is as urgent as one that arrives this much later, so
priorities never starve anyone."""


def urgency(work: Work) -> float:
    """Smaller is more urgent: arrival, and a handicap of `PATIENCE_S` per priority level."""
    return work.arrived + work.level * PATIENCE_S


Rank = tuple[float, float]
"""Whose turn it is: the least."""


def line_of(work: Work) -> int:
    """Names the line that work stands in, within its lane: one per level and tenant's place."""
    return work.level + MOST_LEVELS * work.place


class Lane:
    """Queued work of one key, first in first out within each priority level of each tenant.

    `rows` and `size` (estimated tokens) are those of all its live work. `turns`: those of its queue.
    """

    __slots__ = ("key", "lines", "rows", "size", "turns")

    def __init__(self, key: Hashable = None, turns: Turns | None = None) -> None:
        self.key = key
        self.turns = turns or Turns()
        self.lines: dict[int, deque[Work]] = {}
        self.rows = 0
        self.size = 0

    def push(self, work: Work) -> None:
        """Adds to the end of its line."""
        name = line_of(work)
        line = self.lines.get(name)
        if line is None:
            line = self.lines[name] = deque()
        line.append(work)
        self.rows += work.rows
        self.size += work.size

    def head(self) -> Work | None:
        """The live work whose turn it is, ended work before it swept away."""
        best: Work | None = None
        for name in list(self.lines):
            line = self.lines[name]
            while line and line[0].phase is not Phase.QUEUED:
                line.popleft()
            if not line:
                del self.lines[name]
            elif best is None or self.rank(line[0]) < self.rank(best):
                best = line[0]
        return best

    def rank(self, work: Work) -> Rank:
        """Least for the work whose turn it is: of the tenant that was given least, the most urgent."""
        return self.turns.given[work.place], urgency(work)

    def pop(self, work: Work) -> None:
        """Removes the work that `head` returned."""
        self.lines[line_of(work)].popleft()
        self.rows -= work.rows
        self.size -= work.size

    def oldest(self) -> float:
        """The earliest arrival among the lines' heads; call after `head`."""
        return min(line[0].arrived for line in self.lines.values())

    def sweep(self) -> None:
        """Forgets ended work in the middle of the lines."""
        for name, line in list(self.lines.items()):
            self.lines[name] = live = deque(work for work in line if work.phase is Phase.QUEUED)
            if not live:
                del self.lines[name]


class WorkQueue:
    """Bounded in requests. Cancelled work leaves the counts at once and the lines lazily."""

    def __init__(self, capacity: int):
        self.capacity = capacity
        self.lanes: dict[Hashable, Lane] = {}
        self.turns = Turns()
        self.live = 0
        self._ended = 0

    def __len__(self) -> int:
        return self.live

    def push(self, work: Work) -> None:
        """Queues work. Raises `Overloaded` when the queue is full."""
        self.check_room(1)
        lane = self.lanes.get(work.key)
        if lane is None:
            lane = self.lanes[work.key] = Lane(work.key, self.turns)
        lane.push(work)
        self.turns.came(work)
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
        self.turns.left(work)
        lane = self.lanes[work.key]
        lane.rows -= work.rows
        lane.size -= work.size
        self._ended += 1
        if self._ended > self.live + 64:
            self._compact()

    def heads(self) -> Iterator[tuple[Lane, Work]]:
        """Every lane that holds live work, with the one whose turn it is."""
        for key in list(self.lanes):
            lane = self.lanes[key]
            head = lane.head()
            if head is None:
                del self.lanes[key]
            else:
                yield lane, head

    def take(self, lane: Lane, max_rows: int) -> list[Work]:
        """The work of a lane whose turn it is, in order, up to `max_rows` rows (at least one work)."""
        taken: list[Work] = []
        rows = 0
        head = lane.head()
        while head is not None and (not taken or rows + head.rows <= max_rows):
            lane.pop(head)
            self.turns.taken(head)
            taken.append(head)
            rows += head.rows
            head = lane.head() if rows < max_rows else None
        self.live -= len(taken)
        return taken

    def take_by_size(self, lanes: Iterable[Lane], max_rows: int, max_size: int) -> list[Work]:
        """The work of each lane in turn, up to both bounds (at least one work)."""
        taken: list[Work] = []
        rows = size = 0
        for lane in lanes:
            head = lane.head()
            while head is not None and (not taken or (rows + head.rows <= max_rows and size + head.size <= max_size)):
                lane.pop(head)
                self.turns.taken(head)
                taken.append(head)
                rows += head.rows
                size += head.size
                head = lane.head()
        self.live -= len(taken)
        return taken

    def _compact(self) -> None:
        for key, lane in list(self.lanes.items()):
            lane.sweep()
            if not lane.lines:
                del self.lanes[key]
        self._ended = 0
