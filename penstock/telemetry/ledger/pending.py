"""What waits to be written, within bounds: the event loop fills it, a thread empties it."""

from __future__ import annotations

import math
import threading
from collections import deque
from itertools import islice
from typing import Any

import msgspec

from penstock.core.ledger import Entry, Feedback
from penstock.telemetry.ledger.details import Details
from penstock.telemetry.ledger.sums import Sum, Sums

Scored = tuple[str, str, str]
"""Request, tenant and source of a score."""
ROWS = 20_000
"""Rows that may wait while the database is away; what comes then is summed, so that no amount is lost."""
SCORES = 5_000
"""Feedback that may wait."""
A_FEW = 100
"""Sums that are put back while the event loop waits."""


class Pending:
    """Rows, sums and feedback: of a request, tenant and source the newest. `lost`: feedback that found no room.

    An entry that gets no row is added up at once: to keep it for the thread would cost more than the sum.
    """

    def __init__(self, rows_per_minute: int):
        self.rows: deque[Entry] = deque()
        self.scores: dict[Scored, Feedback] = {}
        self.sums = Sums()
        self.lost = 0
        self._details = Details(rows_per_minute)
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.rows) + len(self.scores) + len(self.sums)

    def add(self, entry: Entry) -> None:
        """Takes what was recorded."""
        with self._lock:
            if self._details.wanted(entry) and len(self.rows) < ROWS:
                self.rows.append(entry)
            else:
                self.sums.add(entry)

    def take_sums(self, before: float) -> list[Sum]:
        """The sums of the time before that moment; they are gone from here."""
        with self._lock:
            taken, self.sums = self.sums, Sums()
        found = taken.take(before)
        self.put_sums(taken.take(math.inf))
        return found

    def put_sums(self, sums: list[Sum]) -> None:
        """Takes back what was taken; a few at a time, for the event loop must not wait."""
        for start in range(0, len(sums), A_FEW):
            with self._lock:
                self.sums.put(sums[start : start + A_FEW])

    def score(self, feedback: Feedback) -> None:
        """Takes a score in the place of an older one."""
        which = feedback.request, feedback.tenant, feedback.source
        if which in self.scores or len(self.scores) < SCORES:
            self.scores.pop(which, None)
            self.scores[which] = feedback
        else:
            self.lost += 1

    def first_rows(self, count: int) -> list[dict[str, Any]]:
        """The oldest rows, as they are written; they stay until `written`."""
        with self._lock:
            rows = list(islice(self.rows, count))
        return [msgspec.structs.asdict(entry) | {"count": 1} for entry in rows]

    def first_scores(self, count: int) -> list[dict[str, Any]]:
        """The oldest feedback, as it is written; it stays until `written`."""
        return [msgspec.structs.asdict(feedback) for feedback in islice(self.scores.values(), count)]

    def written(self, rows: int = 0, scores: int = 0) -> None:
        """The oldest are in the database."""
        for _ in range(rows):
            self.rows.popleft()
        for which in list(islice(self.scores, scores)):
            del self.scores[which]
