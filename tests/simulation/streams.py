"""A simulated world of language models: virtual time, clients and engines around a real `Flow`, all from one seed."""

from __future__ import annotations

import heapq
import math
import random
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from penstock.core.deadline import NEVER
from penstock.core.errors import BadInput, Cancelled, PenstockError
from penstock.core.generation import Event, Generated, Generation, Sampling, Started, Stopped, Text, Usage
from penstock.core.reply import Outcome
from penstock.scheduling.continuous.flow import COUNTS, Flow, FlowDecisions
from penstock.scheduling.continuous.job import Job
from penstock.scheduling.continuous.line import FairLine
from penstock.scheduling.deadlines import TICK_S
from penstock.scheduling.supervision import SupervisionSettings, Supervisor

MAX_STEPS = 40_000
TRACE = 60
STALL_S = 2.0
LATENCY_S = 0.001
RULES = {
    "one end": "every accepted job ends exactly once, and nothing comes after its end",
    "order": "a job's events are Started, texts, Stopped, and no text comes twice",
    "slots": "no engine is given more answers at once than it has slots for, or too many prompts to count",
    "room": "no engine is given more tokens than its cache holds, but for one job alone",
    "not started": "nothing that has ended is sent to a worker, nothing is sent to a worker that is not up",
    "bounds": "no more requests or tokens wait than the line holds, but for those that a worker's death sent back",
    "freed": "a job that has ended leaves its engine within a moment of the next message",
    "poison": "a request that kills workers before its first token kills at most two, where it alone can be it",
    "innocent": "a request that kills nobody is never refused for it",
    "books": "at the end nothing waits, nothing runs, and every account is even",
    "in time": "nothing goes on after its deadline for longer than the clock ticks",
    "healthy": "no worker is killed that answers",
    "no starving": "everything that was accepted ends once trouble is over",
}


class Violation(AssertionError):
    """A rule that does not hold in some world."""

    def __init__(self, rule: str, what: str):
        super().__init__(f"{rule}: {what} ({RULES[rule]})")
        self.rule = rule


@dataclass(slots=True)
class Ask:
    """One client's request, and what became of it. `fatal`: kills its engine at that many tokens; -1 never."""

    number: int
    job: Job
    wanted: int
    fatal: int
    hangs: bool
    kills: int = 0
    texts: int = 0
    stopped: bool = False
    outcome: Outcome | None = None


@dataclass(slots=True)
class VirtualEngine:
    """A worker process and its engine: it reads messages, steps, and says what is new."""

    epoch: int = 0
    up: bool = False
    hung: bool = False
    heard: int = 0
    jobs: dict[int, Job] = field(default_factory=dict)
    steps: dict[int, int] = field(default_factory=dict)


class Stage:
    """Runs one world to its end. `seen` counts what happened; `trace` holds the last events."""

    def __init__(self, seed: int, make: Callable[..., Flow] = Flow, line: type[FairLine] = FairLine):
        self.rng = rng = random.Random(seed)
        self.now = 0.0
        self.seen: Counter[str] = Counter()
        self.trace: deque[str] = deque(maxlen=TRACE)
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._order = 0
        self._deciding = False
        replicas = rng.choice((1, 1, 2, 3))
        settings = SupervisionSettings(
            load_timeout_s=3.0, backoff_s=0.1, max_backoff_s=1.0, crash_loop_after=rng.randint(3, 8)
        )
        supervisor = Supervisor(replicas, settings, STALL_S, random.Random(seed + 1))
        self.line = line(rng.choice((2, 5, 20, 100)), rng.choice((60, 400, 10_000)))
        self.flow = make(self.line, supervisor, replay=rng.random() < 0.8)
        self.slots = rng.choice((1, 2, 4, 8))
        self.room = rng.choice((0, 50, 200))
        self.flow.slots, self.flow.room = self.slots, self.room
        self.engines = [VirtualEngine() for _ in range(replicas)]
        self.asks: dict[int, Ask] = {}
        self.span = rng.choice((0.2, 1.0, 4.0))
        self.step_s = rng.choice((0.002, 0.01, 0.05))
        self.load_s = rng.choice((0.01, 0.3))
        self.random_crash = rng.choice((0.0, 0.0, 0.002))
        self.poison = rng.choice((0.0, 0.0, 0.1))
        self.late_poison = rng.choice((0.0, 0.0, 0.05))
        self.wrong = rng.choice((0.0, 0.1))
        self.counting = rng.choice((0.0, 0.2, 1.0))
        self.chain = rng.choice((0.0, 0.1))
        self.requests = rng.randint(5, 60) + (60 if self.counting == 1.0 else 0)
        self._plan()

    # --- time

    def at(self, when: float, what: Callable[[], None]) -> None:
        self._order += 1
        heapq.heappush(self._heap, (max(when, self.now), self._order, what))

    def run(self) -> None:
        for _ in range(MAX_STEPS):
            if not self._heap:
                break
            self.now, _, what = heapq.heappop(self._heap)
            what()
        else:
            raise Violation("no starving", f"still busy after {MAX_STEPS} events: {self.flow.waiting} wait")
        self._check_books()

    def note(self, what: str) -> None:
        self.seen[what.partition(" #")[0]] += 1
        self.trace.append(f"{self.now:9.4f} {what}")

    # --- clients

    def _plan(self) -> None:
        burst = self.rng.choice((1, 5, 60))
        when = 0.0
        for number in range(self.requests):
            if number % burst == 0:
                when = self.rng.uniform(0, self.span)
            self.at(when, partial(self._ask, number))
        if self.rng.random() < 0.2:
            self.at(self.rng.uniform(0, self.span * 1.2), self._drain)
        self.poke()

    def _ask(self, number: int) -> None:
        rng = self.rng
        counts = rng.random() < self.counting
        wanted = 0 if counts else rng.choice((1, 3, 10, 40))
        poison, late = rng.random() < self.poison, rng.random() < self.late_poison
        fatal = 0 if poison else rng.randint(1, wanted) if late and wanted else -1
        choices = 1 if counts else rng.choice((1, 1, 1, 2, 5))
        sampling = Sampling(max_tokens=wanted)
        generation = Generation(prompt=f"#{number}", sampling=sampling, choices=choices, count_only=counts)
        deadline = self.now + rng.choice((0.05, 0.5, 5.0)) if rng.random() < 0.3 else NEVER
        job = Job(
            generation,
            self._told,
            self._ended,
            size=(5 + wanted * choices) * rng.choice((1, 1, 3)),
            prompt=rng.choice((1, 5, 20)),
            level=rng.randint(0, 2),
            tenant=rng.choice("ab"),
            deadline=deadline,
        )
        ask = Ask(number, job, wanted, fatal, hangs=poison and rng.random() < 0.3)
        job.owner = ask
        self._submit(ask)
        if rng.random() < 0.2:
            self.at(self.now + rng.choice((0.0, 0.01, 0.1, 1.0)), partial(self._leave, ask))
        self.poke()

    def _submit(self, ask: Ask) -> None:
        try:
            self.flow.submit(ask.job, self.now)
        except PenstockError as error:
            self.note(f"refused {error.code} #{ask.number}")
            return
        self.asks[ask.number] = ask
        if self.line.live > self.line.capacity or self.line.waiting_tokens > self.line.tokens:
            raise Violation("bounds", f"{self.line.live} requests, {self.line.waiting_tokens} tokens wait")

    def _leave(self, ask: Ask) -> None:
        if ask.outcome is None and ask.number in self.asks:
            self.note(f"left #{ask.number}")
            self.flow.cancel(ask.job, Cancelled("left"))
            self.poke()

    def _told(self, job: Job, event: Event) -> None:
        ask: Ask = job.owner
        if ask.outcome is not None:
            raise Violation("one end", f"#{ask.number} got {event} after its end")
        if isinstance(event, Text):
            if event.text != str(ask.texts) or ask.stopped:
                raise Violation("order", f"#{ask.number} got {event.text}, wanted {ask.texts}")
            ask.texts += 1
        ask.stopped = ask.stopped or isinstance(event, Stopped)

    def _ended(self, job: Job, outcome: Outcome) -> None:
        ask: Ask = job.owner
        if ask.outcome is not None:
            raise Violation("one end", f"#{ask.number} ended twice")
        ask.outcome = outcome
        code = outcome.code if isinstance(outcome, PenstockError) else "generated"
        self.note(f"ended {code} #{ask.number}")
        if code == "generated" and not (ask.stopped and ask.texts == ask.wanted):
            raise Violation("order", f"#{ask.number} ended well with {ask.texts} of {ask.wanted}")
        if self.now > job.deadline + TICK_S + 0.001:
            raise Violation("in time", f"#{ask.number} ended {self.now - job.deadline:.3f} s after its deadline")
        if code == "request_refused" and ask.fatal < 0 and not self.random_crash and not self.late_poison:
            raise Violation("innocent", f"#{ask.number} was refused")
        if self.rng.random() < self.chain:
            self._leave(self.rng.choice(list(self.asks.values())))

    def _drain(self) -> None:
        self.note("drain")
        self.flow.draining = True
        self.poke()

    # --- decisions

    def poke(self) -> None:
        if not self._deciding:
            self._deciding = True
            self.at(self.now, self._decide)

    def _decide(self) -> None:
        self._deciding = False
        decisions = self.flow.decide(self.now)
        for replica_id in decisions.kill:
            self.note("kill")
            if not self.engines[replica_id].hung:
                raise Violation("healthy", f"worker {replica_id} was killed")
            self.at(self.now + LATENCY_S, partial(self._exit, replica_id, self.engines[replica_id].epoch))
        for replica_id in decisions.spawn:
            self._spawn(replica_id)
        self._send(decisions)
        if decisions.wake_at < math.inf:
            self.at(decisions.wake_at, self.poke)

    def _send(self, decisions: FlowDecisions) -> None:
        for replica_id, job in decisions.start:
            if job.id not in decisions.drop.get(replica_id, ()):
                self._check_start(replica_id, job)
            self._message(replica_id, partial(self._started, replica_id, job))
        for replica_id, ids in decisions.drop.items():
            self._message(replica_id, partial(self._dropped, replica_id, ids))

    def _check_start(self, replica_id: int, job: Job) -> None:
        ask: Ask = job.owner
        if ask.outcome is not None or not self.engines[replica_id].up or job.deadline <= self.now:
            raise Violation("not started", f"#{ask.number} was sent to worker {replica_id}")
        jobs = [other for other in self.flow.workers[replica_id].jobs.values() if not other.generation.count_only]
        if len(jobs) > 1 and sum(other.generation.choices for other in jobs) > self.slots:
            raise Violation("slots", f"worker {replica_id} has {len(jobs)} jobs for {self.slots} slots")
        if len(self.flow.workers[replica_id].jobs) - len(jobs) > COUNTS:
            raise Violation("slots", f"worker {replica_id} counts too many prompts at once")
        if len(jobs) > 1 and self.room and sum(other.size for other in jobs) > self.room:
            raise Violation("room", f"worker {replica_id} has {len(jobs)} jobs for {self.room} tokens")

    def _message(self, replica_id: int, what: Callable[[], None]) -> None:
        epoch = self.engines[replica_id].epoch
        self.at(self.now + LATENCY_S, partial(self._heard, replica_id, epoch, what))

    def _heard(self, replica_id: int, epoch: int, what: Callable[[], None]) -> None:
        engine = self.engines[replica_id]
        if engine.epoch == epoch and not engine.hung:
            engine.heard += 1
            what()

    # --- workers

    def _spawn(self, replica_id: int) -> None:
        engine = self.engines[replica_id] = VirtualEngine(self.engines[replica_id].epoch + 1)
        if self.random_crash and self.now < self.span and self.rng.random() < 0.2:
            self.at(self.now + self.load_s, partial(self._exit, replica_id, engine.epoch))
            return
        self.at(self.now + self.load_s, partial(self._ready, replica_id, engine.epoch))

    def _ready(self, replica_id: int, epoch: int) -> None:
        engine = self.engines[replica_id]
        if engine.epoch == epoch:
            engine.up = True
            self.flow.ready(replica_id, self.now)
            self.at(self.now, partial(self._step, replica_id, epoch))
            self.poke()

    def _started(self, replica_id: int, job: Job) -> None:
        self.engines[replica_id].jobs[job.id] = job
        self.engines[replica_id].steps[job.id] = -1
        self.at(self.now, partial(self._step, replica_id, self.engines[replica_id].epoch))

    def _dropped(self, replica_id: int, ids: list[int]) -> None:
        engine = self.engines[replica_id]
        for id in ids:
            engine.jobs.pop(id, None)
        self.at(self.now, partial(self._step, replica_id, engine.epoch))

    def _step(self, replica_id: int, epoch: int) -> None:
        """Every running job goes on by one token; then the server hears of it."""
        engine = self.engines[replica_id]
        if engine.epoch != epoch or engine.hung or not engine.up:
            return
        news: list[tuple[int, Any]] = []
        for id, job in list(engine.jobs.items()):
            if self._advance(engine, replica_id, id, job, news):
                return
        self._deliver(replica_id, news)
        if engine.jobs:
            self.at(self.now + self.step_s, partial(self._step, replica_id, epoch))

    def _advance(self, engine: VirtualEngine, replica_id: int, id: int, job: Job, news: list[tuple[int, Any]]) -> bool:
        """One job's step; True when it took its engine along."""
        ask: Ask = job.owner
        done = engine.steps[id] = engine.steps[id] + 1
        if done == ask.fatal or (self.now < self.span and self.rng.random() < self.random_crash):
            self._fatal(engine, replica_id, ask, done)
            return True
        if done == 0 and self.rng.random() < self.wrong:
            del engine.jobs[id]
            news.append((id, BadInput("the prompt is too long")))
        elif done == 0:
            news.append((id, Started(5)))
        elif done <= ask.wanted:
            news.append((id, Text(0, str(done - 1))))
        if id in engine.jobs and done == ask.wanted:
            del engine.jobs[id]
            news += [(id, Stopped(0, "length")), (id, Generated(Usage(5, 0, ask.wanted)))]
        return False

    def _fatal(self, engine: VirtualEngine, replica_id: int, ask: Ask, done: int) -> None:
        self.note("hangs" if ask.hangs else "crash")
        if done == ask.fatal == 0 and not ask.hangs and not self.flow.workers[replica_id].gone:
            ask.kills += 1
            if ask.kills > 2 and not (self.random_crash or self.late_poison):
                raise Violation("poison", f"#{ask.number} killed {ask.kills} workers")
        if ask.hangs:
            engine.hung = True
        else:
            self._exit(replica_id, engine.epoch)

    def _deliver(self, replica_id: int, news: list[tuple[int, Any]]) -> None:
        for id, what in news:
            self.flow.news(replica_id, id, what, self.now)
        self.flow.alive(replica_id, self.engines[replica_id].heard, self.now)
        if self.flow.workers[replica_id].heard == self.flow.workers[replica_id].sent:
            strangers = set(self.engines[replica_id].jobs) - set(self.flow.workers[replica_id].jobs)
            if strangers:
                raise Violation("freed", f"worker {replica_id} still runs {strangers}")
        self.poke()

    def _exit(self, replica_id: int, epoch: int) -> None:
        engine = self.engines[replica_id]
        if engine.epoch == epoch:
            self.note("died")
            self.engines[replica_id] = VirtualEngine(epoch + 1)
            self.flow.exited(replica_id, self.now)
            self.poke()

    # --- the end

    def _check_books(self) -> None:
        left = [ask.number for ask in self.asks.values() if ask.outcome is None]
        if left:
            raise Violation("no starving", f"{left} never ended")
        if not self.flow.idle or self.line.waiting_tokens or self.line.live:
            raise Violation("books", f"{self.flow.waiting} wait, {self.flow.running} run")
        tenants = self.line._tenants.values()
        if any(worker.tokens for worker in self.flow.workers) or any(t.running or t.expected for t in tenants):
            raise Violation("books", "an account is not even")


def play(seed: int, **parts: Any) -> Stage:
    """Runs a seed's world. Raises `Violation` with its last events as notes."""
    stage = Stage(seed, **parts)
    try:
        stage.run()
    except Exception as error:
        error.add_note("\n".join(stage.trace))
        raise
    return stage
