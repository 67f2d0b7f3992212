"""One language model's decisions: what starts where, what is dropped, what ends how. Pure, as the dispatcher is.

An engine batches by itself, so a worker is not idle or busy but has room or not. Requests wait here, not in the
engine: what waits here can still be put in order, shared fairly, refused, or given to another worker.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

from penstock.core.errors import (
    CrashLooping,
    DeadlineExceeded,
    Draining,
    PenstockError,
    RequestRefused,
    WorkerLost,
)
from penstock.core.generation import Event, Generated, Started
from penstock.core.reply import Outcome
from penstock.scheduling.continuous.job import Job
from penstock.scheduling.continuous.line import FairLine
from penstock.scheduling.deadlines import Deadlines
from penstock.scheduling.quarantine import Quarantine
from penstock.scheduling.supervision import Life, Replica, Supervisor
from penstock.scheduling.work import Phase

FATAL_DEATHS = 2
COUNTS = 32
"""Prompts that a worker is given at once only to count their tokens."""
News = Event | Generated | PenstockError


@dataclass(slots=True)
class Running:
    """What one worker has: jobs by id, and the one that has not proved yet that it does not kill workers.

    `tokens`: what its cache may come to hold; `sent` and `heard`: messages to it, and those that it said to have read;
    `gone`: jobs dropped since it last had read all.
    """

    jobs: dict[int, Job] = field(default_factory=dict)
    proving: Job | None = None
    tokens: int = 0
    sent: int = 0
    heard: int = 0
    gone: list[Job] = field(default_factory=list)

    @property
    def rests(self) -> bool:
        """Whether it has nothing to do, and knows it."""
        return not self.jobs and self.heard == self.sent


@dataclass(slots=True)
class FlowDecisions:
    """What the edge must do: kill workers, start workers, send jobs, then drop jobs (some of them sent just now).

    `wake_at`: when to ask again.
    """

    start: list[tuple[int, Job]] = field(default_factory=list)
    drop: dict[int, list[int]] = field(default_factory=dict)
    spawn: list[int] = field(default_factory=list)
    kill: list[int] = field(default_factory=list)
    wake_at: float = math.inf


class Flow:
    """Line, workers' room and supervision put together.

    `slots`: answers that one worker generates at once; `room`: tokens that its cache holds (0: not known).
    """

    def __init__(self, line: FairLine, supervisor: Supervisor, *, replay: bool = True):
        self.line = line
        self.supervisor = supervisor
        self.replay = replay
        self.slots = 1
        self.room = 0
        self.draining = False
        self.quarantine = Quarantine()
        self.workers = [Running() for _ in supervisor.replicas]
        self._suspects: deque[Job] = deque()
        self._dropped: dict[int, list[int]] = {}
        self._deadlines: Deadlines[Job] = Deadlines()
        self._ids = 0

    # --- what happens

    def submit(self, job: Job, now: float) -> None:
        """Queues a job. Raises an error, and leaves no trace, when it cannot be accepted."""
        if self.draining:
            raise Draining("the model is being unloaded, or the server is stopping; send the request elsewhere")
        if self.supervisor.deaths_in_row and self.supervisor.crash_looping:
            raise CrashLooping(
                "the model's workers keep failing; they are restarted with growing pauses",
                retry_after_s=self.supervisor.retry_after(now),
            )
        if self.quarantine and job.generation in self.quarantine:
            raise _refused()
        if job.deadline <= now:
            raise _too_late()
        job.arrived = now
        self.line.push(job)
        self._deadlines.add(job)

    def cancel(self, job: Job, outcome: PenstockError) -> None:
        """Ends a job now, wherever it is; its worker is told to drop it."""
        if job.phase is Phase.ENDED:
            return
        if job.phase is Phase.RUNNING:
            self._off(job, job.tokens or job.prompt)
            self._drop(job)
        elif job in self._suspects:
            self._suspects.remove(job)
        else:
            self._end(job, outcome)
            self.line.gone(job)
            return
        self._end(job, outcome)

    def ready(self, replica_id: int, now: float) -> None:
        """A worker has loaded its model and warmed up."""
        self.supervisor.ready(replica_id, now)

    def alive(self, replica_id: int, heard: int, now: float) -> None:
        """A worker has said something, after the news that came with it: it has not hung. `heard`: messages it read."""
        worker = self.workers[replica_id]
        worker.heard = heard
        self.supervisor.alive(replica_id, now)
        if worker.heard == worker.sent:
            worker.gone.clear()
        if worker.rests:
            self.supervisor.rests(replica_id, now)

    def news(self, replica_id: int, id: int, what: News, now: float) -> None:
        """Something of a job; of one that was dropped meanwhile, nothing."""
        worker = self.workers[replica_id]
        job = worker.jobs.get(id)
        if job is None:
            return
        if worker.proving is job:
            worker.proving = None
        if isinstance(what, Generated | PenstockError):
            job.finished = now
            if isinstance(what, Generated):
                job.tokens = what.usage.prompt_tokens + what.usage.completion_tokens
                self.supervisor.proved(replica_id)
            self._off(job, job.tokens)
            self._end(job, what)
        else:
            job.tokens += what.prompt_tokens if isinstance(what, Started) else what.tokens
            self.line.charge(job, job.tokens)
            job.tell(what)

    def exited(self, replica_id: int, now: float) -> None:
        """A worker died. What had begun ends with an error; the rest runs again, each proved alone."""
        self.supervisor.exited(replica_id, now)
        worker, self.workers[replica_id] = self.workers[replica_id], Running()
        self._dropped.pop(replica_id, None)
        jobs = list(worker.jobs.values())
        self._blame(jobs, worker.gone, now)
        for job in jobs:
            self.line.settle(job, 0)
            # Until somebody is told, the job is nobody's: whoever hears of an end may cancel others at once.
            job.phase = Phase.QUEUED
            self._suspects.append(job)
        for job in jobs:
            if job in self._suspects:
                self._after_death(job)

    def _blame(self, jobs: list[Job], gone: list[Job], now: float) -> None:
        """Whoever was alone, or had not proved itself by a first event, is under suspicion."""
        if len(jobs) + len(gone) == 1:
            self.quarantine.blame((jobs + gone)[0].generation, now)
        for job in jobs:
            job.suspect = not job.began
            # What was dropped and not yet heard of may have hung the engine: then it was not the others.
            job.deaths += not (job.began or gone)

    def _after_death(self, job: Job) -> None:
        if job.deaths >= FATAL_DEATHS:
            self.quarantine.add(job.generation)
        if job.generation in self.quarantine:
            self.cancel(job, _refused())
        elif job.began or not self.replay:
            self.cancel(job, WorkerLost("the worker died in the middle of the answer; try again"))

    def fail_all(self, error: PenstockError) -> None:
        """Ends everything that waits or runs: the deployment is going away, or could not load."""
        running = [job for worker in self.workers for job in worker.jobs.values()]
        for job in [*self.line.jobs(), *self._suspects, *running]:
            self.cancel(job, error)

    # --- what to do

    def decide(self, now: float) -> FlowDecisions:
        """Ends what has expired, then starts what can start."""
        decisions = FlowDecisions()
        for job in self._deadlines.expired(now):
            self.cancel(job, _too_late())
        due = self.supervisor.due(now)
        decisions.spawn, decisions.kill = due.spawn, due.kill
        self._start(decisions, now)
        decisions.drop, self._dropped = self._dropped, {}
        decisions.wake_at = min(self._deadlines.next(), self.supervisor.next())
        return decisions

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing runs."""
        return not (self.line.live or self._suspects or self.running)

    @property
    def running(self) -> int:
        """Jobs that workers have."""
        return sum(len(worker.jobs) for worker in self.workers)

    @property
    def waiting(self) -> int:
        """Jobs that wait for a worker."""
        return self.line.live + len(self._suspects)

    # --- inside

    def _start(self, decisions: FlowDecisions, now: float) -> None:
        while (job := self._next()) is not None:
            if job.deadline <= now:
                self.cancel(job, _too_late())
                continue
            replica = self._place(job)
            if replica is None:
                return
            self._take(job)
            self._begin(replica, job, now)
            decisions.start.append((replica.id, job))

    def _next(self) -> Job | None:
        return self._suspects[0] if self._suspects else self.line.head()

    def _take(self, job: Job) -> None:
        if self._suspects and self._suspects[0] is job:
            self._suspects.popleft()
            self.line.put_back(job)
        self.line.take(job)

    def _place(self, job: Job) -> Replica | None:
        """The worker with the most room that can take it."""
        best: Replica | None = None
        for replica in self.supervisor.replicas:
            if replica.life not in (Life.IDLE, Life.BUSY) or replica.killed or not self._fits(replica, job):
                continue
            if best is None or len(self.workers[replica.id].jobs) < len(self.workers[best.id].jobs):
                best = replica
        return best

    def _fits(self, replica: Replica, job: Job) -> bool:
        worker = self.workers[replica.id]
        if worker.proving is not None or (job.suspect and any(not other.began for other in worker.jobs.values())):
            return False
        if not job.places:
            return sum(not other.places for other in worker.jobs.values()) < COUNTS
        taken = sum(other.places for other in worker.jobs.values())
        if taken and taken + job.places > self.slots:
            return False
        return not (taken and self.room and worker.tokens + job.size > self.room)

    def _begin(self, replica: Replica, job: Job, now: float) -> None:
        self._ids += 1
        worker = self.workers[replica.id]
        job.id, job.replica, job.phase, job.started = self._ids, replica.id, Phase.RUNNING, now
        if job.suspect:
            worker.proving = job
        worker.jobs[job.id] = job
        worker.tokens += job.size if job.places else 0
        worker.sent += 1
        if replica.life is Life.IDLE:
            # Only what a busy worker says shows that it has not hung, not what it is sent.
            self.supervisor.began(replica, worker, now)

    def _drop(self, job: Job) -> None:
        """Its worker is told with the next decisions, in one message for all; until it has heard, it does not rest."""
        worker = self.workers[job.replica]
        worker.gone.append(job)
        worker.sent += job.replica not in self._dropped
        self._dropped.setdefault(job.replica, []).append(job.id)

    def _off(self, job: Job, tokens: int) -> None:
        """Takes a running job off its worker; it took so many tokens."""
        worker = self.workers[job.replica]
        if worker.jobs.pop(job.id, None) is None:
            return
        worker.tokens -= job.size if job.places else 0
        if worker.proving is job:
            worker.proving = None
        self.line.settle(job, tokens)

    def _end(self, job: Job, outcome: Outcome) -> None:
        self._deadlines.remove(job)
        job.end(outcome)


def _too_late() -> DeadlineExceeded:
    return DeadlineExceeded("the answer was not finished within its time; allow more, or ask for less")


def _refused() -> RequestRefused:
    return RequestRefused("this request stopped two workers and will not be run again; check its values")
