"""One deployment's decisions: what starts where, what ends how. Pure: no sockets, no clock, no sleep.

Everything that happens is told to the dispatcher with the present moment (`submit`, `ready`,
`completed`, `failed`, `exited`, `cancel`); `decide` then says what to do and when to ask again.
A simulation drives the same object as the server does.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from penstock.core.deadline import NEVER
from penstock.core.errors import (
    BadInput,
    BadRows,
    CrashLooping,
    DeadlineExceeded,
    Draining,
    ModelFailed,
    PenstockError,
    RequestRefused,
    WorkerLost,
)
from penstock.core.reply import Outcome
from penstock.scheduling.batching.policy import Batcher
from penstock.scheduling.deadlines import Deadlines
from penstock.scheduling.quarantine import Quarantine
from penstock.scheduling.queue import WorkQueue
from penstock.scheduling.supervision import Replica, Supervisor
from penstock.scheduling.work import Phase, Work

FATAL_DEATHS = 2


@dataclass(slots=True, eq=False)
class Batch:
    """Work that runs together, in row order."""

    id: int
    works: list[Work]
    rows: int


@dataclass(slots=True)
class Decisions:
    """What the edge must do: send batches, start workers, kill workers; and when to ask again."""

    start: list[tuple[int, Batch]] = field(default_factory=list)
    spawn: list[int] = field(default_factory=list)
    kill: list[int] = field(default_factory=list)
    wake_at: float = math.inf


class Dispatcher:
    """Queue, batcher and supervision put together.

    `replay`: work whose worker died may run once more, alone (the model has no side effects).
    """

    def __init__(self, queue: WorkQueue, batcher: Batcher, supervisor: Supervisor, *, replay: bool = True):
        self.queue = queue
        self.batcher = batcher
        self.supervisor = supervisor
        self.replay = replay
        self.draining = False
        self.quarantine = Quarantine()
        self.running = 0
        self._deadlines: Deadlines[Work] = Deadlines()
        self._retries: deque[list[Work]] = deque()
        self._batches = 0

    # --- what happens

    def submit(self, work: Work, now: float) -> None:
        """Queues work. Raises an error, and leaves no trace, when it cannot be accepted."""
        if self.draining:
            raise Draining("the model is being unloaded, or the server is stopping; send the request elsewhere")
        if self.supervisor.deaths_in_row and self.supervisor.crash_looping:
            raise CrashLooping(
                "the model's workers keep failing; they are restarted with growing pauses",
                retry_after_s=self.retry_after(now),
            )
        if self.quarantine and work.tensors in self.quarantine:
            raise _refused()
        if work.deadline <= now:
            raise _too_late()
        work.arrived = now
        self.queue.push(work)
        self._deadlines.add(work)

    def cancel(self, work: Work, outcome: PenstockError) -> None:
        """Ends work now, wherever it is; a running batch's row is dropped when it comes back."""
        if work.phase is Phase.ENDED:
            return
        if work.phase is Phase.QUEUED and not self._left_retries(work):
            self.queue.removed(work)
        self._end(work, outcome)

    def ready(self, replica_id: int, now: float) -> None:
        """A worker has loaded its model and warmed up."""
        self.supervisor.ready(replica_id, now)

    def completed(self, replica_id: int, rows: Callable[[int, int], Outcome], compute_s: float, now: float) -> None:
        """A batch came back; `rows(start, stop)` cuts a work's rows out of the outputs."""
        batch = self._finish(replica_id, now)
        if batch is None:
            return
        at = 0
        each_s = compute_s / max(1, sum(work.size or work.rows for work in batch.works))
        for work in batch.works:
            stop = at + work.rows
            if work.phase is Phase.RUNNING:
                work.finished = now
                work.compute_s = compute_s
                work.busy_s = each_s * (work.size or work.rows)
                self._end(work, rows(at, stop))
            at = stop

    def failed(self, replica_id: int, error: PenstockError, now: float) -> None:
        """The model raised. A batch of several is run again in halves, to spare the innocent."""
        batch = self._finish(replica_id, now)
        if batch is None:
            return
        if isinstance(error, BadRows) and (innocent := self._refuse(batch, error, now)) is not None:
            self._again(innocent)
            return
        alive = [work for work in batch.works if work.phase is Phase.RUNNING]
        if len(batch.works) > 1 and not self.replay:
            # Whose fault it was is not known, and the message may quote somebody else's values.
            error = ModelFailed("the model failed on a batch that held this request", detail=error.message)
        if len(batch.works) == 1 or not self.replay:
            for work in alive:
                work.finished = now
                self._end(work, error)
            return
        middle = (len(alive) + 1) // 2
        self._again(alive[middle:])
        self._again(alive[:middle])

    def exited(self, replica_id: int, now: float) -> None:
        """A worker died. What it ran is run once more, each alone; the second death is final."""
        batch = self.supervisor.exited(replica_id, now)
        if not isinstance(batch, Batch):
            return
        self.running -= batch.rows
        if len(batch.works) == 1:
            self.quarantine.blame(batch.works[0].tensors, now)
        for work in reversed(batch.works):
            if work.phase is not Phase.RUNNING:
                continue
            work.deaths += 1
            if work.deaths >= FATAL_DEATHS:
                self.quarantine.add(work.tensors)
            if work.tensors in self.quarantine:
                self._end(work, _refused())
            elif self.replay:
                self._again([work])
            else:
                self._end(work, WorkerLost("the worker died while it ran the request; try again"))

    def fail_all(self, error: PenstockError) -> None:
        """Ends everything that waits or runs: the deployment is going away, or could not load."""
        works = [work for lane, _ in list(self.queue.heads()) for work in self.queue.take(lane, 2**62)]
        works += [work for group in self._retries for work in group]
        self._retries.clear()
        self._off_the_queue(works)
        for replica in self.supervisor.replicas:
            if isinstance(replica.batch, Batch):
                works += replica.batch.works
        for work in works:
            self._end(work, error)

    # --- what to do

    def decide(self, now: float) -> Decisions:
        """Ends what has expired, then starts what can start."""
        decisions = Decisions()
        for work in self._deadlines.expired(now):
            self.cancel(work, _too_late())
        due = self.supervisor.due(now)
        decisions.spawn, decisions.kill = due.spawn, due.kill
        wake = self._start(decisions, now)
        decisions.wake_at = min(wake, self._deadlines.next(), self.supervisor.next())
        return decisions

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing runs."""
        return not (self.queue or self._retries or any(replica.batch for replica in self.supervisor.replicas))

    def retry_after(self, now: float) -> float:
        """Seconds until it is worth asking again."""
        return self.supervisor.retry_after(now)

    # --- inside

    def _start(self, decisions: Decisions, now: float) -> float:
        """Gives batches to idle replicas; returns when to ask again."""
        while (replica := self.supervisor.idle()) is not None:
            works = self._next_retry(now)
            if works is None:
                found = self.batcher.next(self.queue, now, hurry=self.draining)
                if isinstance(found, float):
                    return found
                works = self._claim(found, now)
            if works:
                decisions.start.append((replica.id, self._begin(replica, works, now)))
        return math.inf

    def _begin(self, replica: Replica, works: list[Work], now: float) -> Batch:
        self._batches += 1
        rows = sum(work.rows for work in works)
        batch = Batch(self._batches, works, rows)
        for work in works:
            work.free = max(work.arrived, replica.since)
            work.started = now
            work.batch_rows = rows
        self.running += rows
        latest = max((work.deadline for work in works if work.deadline != NEVER), default=now)
        self.supervisor.began(replica, batch, now, latest)
        return batch

    def _finish(self, replica_id: int, now: float) -> Batch | None:
        batch = self.supervisor.replicas[replica_id].batch
        if not isinstance(batch, Batch):
            return None
        self.supervisor.finished(replica_id, now)
        self.running -= batch.rows
        return batch

    def _refuse(self, batch: Batch, error: BadRows, now: float) -> list[Work] | None:
        """Ends the work whose rows are wrong; returns the other live work, or None when no row was the batch's.

        Nothing was computed yet, so the others may run whether the model is pure or not.
        """
        wrong = {row: why for row, why in error.reasons.items() if 0 <= row < batch.rows}
        if not wrong:
            return None
        at = 0
        for work in batch.works:
            row = next((row for row in range(at, at + work.rows) if row in wrong), None)
            if work.phase is Phase.RUNNING and row is not None:
                work.finished = now
                self._end(work, _wrong_row(work, row - at, wrong[row]))
            at += work.rows
        # Only now: whoever was told of an end may have cancelled others in the same breath.
        return [work for work in batch.works if work.phase is Phase.RUNNING]

    def _again(self, works: list[Work]) -> None:
        for work in works:
            work.phase = Phase.QUEUED
        if works:
            self._retries.appendleft(works)

    def _left_retries(self, work: Work) -> bool:
        """Takes work out of the groups that wait to run again; False when it is in none."""
        for group in self._retries:
            if work in group:
                group.remove(work)
                if not group:
                    self._retries.remove(group)
                return True
        return False

    def _next_retry(self, now: float) -> list[Work] | None:
        """The next group to run again; None when there is none."""
        while self._retries:
            works = self._claim(self._retries.popleft(), now)
            if works:
                return works
        return None

    @staticmethod
    def _off_the_queue(works: list[Work]) -> None:
        """Whoever is told of an end may cancel others in the same breath: these are counted out already."""
        for work in works:
            work.phase = Phase.RUNNING

    def _claim(self, works: list[Work], now: float) -> list[Work]:
        """Work about to run, without what has just expired: nothing expired is started."""
        self._off_the_queue(works)
        late = [work for work in works if work.deadline <= now]
        if not late:
            return works
        for work in late:
            self._end(work, _too_late())
        return [work for work in works if work.phase is Phase.RUNNING]

    def _end(self, work: Work, outcome: Outcome) -> None:
        self._deadlines.remove(work)
        work.end(outcome)


def _too_late() -> DeadlineExceeded:
    return DeadlineExceeded("the request was not answered within its time; allow more, or send less")


def _wrong_row(work: Work, row: int, why: str) -> BadInput:
    """Names the row where a request has several."""
    several = work.rows > 1 or work.first > 0
    error = BadInput(f"row {work.first + row}: {why}" if several else why)
    error.row = work.first + row
    return error


def _refused() -> RequestRefused:
    return RequestRefused("this request stopped two workers and will not be run again; check its values")
