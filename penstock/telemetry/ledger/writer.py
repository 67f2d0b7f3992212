"""The ledger's hot side: entries are kept or added up on the event loop, and a thread writes them in batches."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Iterator

import msgspec

from penstock.core.errors import PenstockError
from penstock.core.ledger import Entry, Feedback
from penstock.storage.contract import StateSettings
from penstock.storage.database import Database
from penstock.telemetry.ledger.pending import Pending
from penstock.telemetry.logs import logger

log = logger("telemetry")
SCORES = 5_000
"""Feedback that may wait for the thread, in a place of its own: it never displaces entries."""
COMMENT = 1_000
"""Characters of a comment that are kept so far."""
SCORE_AFTER_S = 2.0
"""How long feedback waits for the row of its request, which another server may be about to write."""
GATHER_S = 0.5
"""Entries are gathered for so long before they are written."""
ROWS, BREATH_S = 100, 0.001
"""Rows that the thread writes, and how long it then leaves the interpreter to the loop."""
AWAY_S = (1.0, 30.0)
"""The first and the longest pause before a database that does not answer is asked again."""
TIDY_S, TIDY_SHARE_S = 3600.0, 0.2
"""How often old rows are summed or removed, and how long at a time between two writes."""


class LedgerWriter:
    """Never waits and never raises on the event loop. A database that is away loses nothing that costs: rows wait, then
    sums. The thread begins with the first entry, and imports SQLAlchemy then, not before.

    `written`: rows so far; `up`: whether the last write succeeded.
    """

    def __init__(self, database: Database, settings: StateSettings):
        self.written = 0
        self.up = True
        self._database = database
        self._settings = settings
        self._scores: deque[tuple[float, Feedback]] = deque()
        self._lost_scores = 0
        self._pending = Pending(settings.rows_per_minute)
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._asleep = True
        self._thread: threading.Thread | None = None
        self._retry_at = -math.inf
        self._pause = AWAY_S[0]
        self._tidy_at = time.monotonic() + GATHER_S
        self._tidying: Iterator[None] | None = None

    def record(self, entry: Entry) -> None:
        """Takes an entry."""
        self._pending.add(entry)
        if self._asleep:
            self._rouse()

    def feedback(self, feedback: Feedback) -> None:
        """Takes a score; it is written where the request has a row."""
        if len(feedback.comment) > COMMENT:
            feedback = msgspec.structs.replace(feedback, comment=feedback.comment[:COMMENT])
        if len(self._scores) < SCORES:
            self._scores.append((time.monotonic(), feedback))
        else:
            self._lost_scores += 1
        if self._asleep:
            self._rouse()

    @property
    def waiting(self) -> int:
        """Rows, sums and feedback that are not written yet."""
        return len(self._scores) + len(self._pending)

    @property
    def lost(self) -> int:
        """Feedback that found no room."""
        return self._lost_scores + self._pending.lost

    async def stop(self, within_s: float = 10.0) -> None:
        """Writes what is left, and ends; says what could not be written in time."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, within_s)
        if self.waiting:
            log.error("ledger_lost", waiting=self.waiting, reason="the database did not take them before the end")

    def _rouse(self) -> None:
        self._asleep = False
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)
            self._thread.start()
        self._wake.set()

    # --- the thread

    def _run(self) -> None:
        while not self._stop.is_set():
            self._sleep()
            self._stop.wait(GATHER_S)
            self._work(last=False)
        self._retry_at = -math.inf
        self._work(last=True)

    def _sleep(self) -> None:
        """Until there is something to do."""
        self._wake.clear()
        self._asleep = True
        self._wake.wait(self._due())
        self._asleep = False

    def _due(self) -> float:
        """Seconds until something has to be done without a new entry."""
        now = time.monotonic()
        if len(self._pending.rows) or len(self._pending.scores):
            return max(0.0, self._retry_at - now)
        until = self._tidy_at - now
        if self._scores:
            until = min(until, self._scores[0][0] + SCORE_AFTER_S - now)
        if len(self._pending.sums):
            until = min(until, 60 - time.time() % 60)
        return max(0.0, until)

    def _work(self, *, last: bool) -> None:
        try:
            self._ripen(math.inf if last else time.monotonic() - SCORE_AFTER_S)
            if time.monotonic() >= self._retry_at:
                self._write(last=last)
                if time.monotonic() >= self._tidy_at and not last:
                    self._tidy()
                self._back()
        except (PenstockError, OSError) as error:
            self._away(error)
        except Exception as error:
            log.exception("bug", where="ledger")
            self._away(error)

    def _ripen(self, before: float) -> None:
        """Feedback that has waited long enough for its request."""
        while self._scores and self._scores[0][0] <= before:
            self._pending.score(self._scores.popleft()[1])

    def _write(self, *, last: bool) -> None:
        """What waits now; what comes meanwhile has to wait, or under load scores and sums would never be written."""
        from penstock.telemetry.ledger.inserting import write

        pending = self._pending
        for _ in range(0, len(pending.rows), ROWS):
            rows = pending.first_rows(ROWS)
            write(self._database, rows, [])
            pending.written(rows=len(rows))
            self.written += len(rows)
            time.sleep(0 if last else BREATH_S)
        while scores := pending.first_scores(ROWS):
            write(self._database, [], scores)
            pending.written(scores=len(scores))
            time.sleep(0 if last else BREATH_S)
        self._write_sums(math.inf if last else time.time() // 60 * 60)

    def _write_sums(self, before: float) -> None:
        """The sums of minutes that are over."""
        from penstock.telemetry.ledger.inserting import write

        sums = self._pending.take_sums(before)
        try:
            while sums:
                write(self._database, sums[:ROWS], [])
                self.written += len(sums[:ROWS])
                del sums[:ROWS]
        finally:
            self._pending.put_sums(sums)

    def _tidy(self) -> None:
        """A little of it, so that entries are written meanwhile, and other writers find their turn."""
        from penstock.telemetry.ledger.tidying import steps

        if self._tidying is None:
            self._tidying = steps(self._database, self._settings, time.time())
        until, tidying = time.monotonic() + TIDY_SHARE_S, self._tidying
        self._tidying = None
        for _ in tidying:
            if time.monotonic() >= until:
                self._tidying = tidying
                return
        self._tidy_at = time.monotonic() + TIDY_S

    def _back(self) -> None:
        if not self.up:
            log.info("ledger_back", lost=self.lost)
        self.up = True
        self._retry_at, self._pause = -math.inf, AWAY_S[0]

    def _away(self, error: Exception) -> None:
        if self.up:
            why = getattr(error, "detail", None) or str(error)
            log.error("ledger_away", reason=why, does="keeps rows in memory, then sums, and tries again")
        self.up = False
        self._retry_at = time.monotonic() + self._pause
        self._pause = min(AWAY_S[1], 2 * self._pause)
