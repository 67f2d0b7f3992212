"""One simulated world: virtual time, clients and workers around a real dispatcher, all from one seed."""

from __future__ import annotations

import heapq
import math
import random
from collections import Counter, deque
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from penstock.core.deadline import NEVER
from penstock.core.errors import BadRows, Cancelled, ModelFailed, PenstockError
from penstock.core.reply import Outcome
from penstock.core.tensors import Tensor, Tensors
from penstock.scheduling.batching import choice
from penstock.scheduling.batching.policy import Batcher
from penstock.scheduling.dispatcher import Batch, Dispatcher
from penstock.scheduling.queue import WorkQueue
from penstock.scheduling.supervision import Supervisor
from penstock.scheduling.ticket import Parts, cut, spans
from penstock.scheduling.tokens import LaneKey, band
from penstock.scheduling.work import Work
from tests.simulation.clients import Kind, Sent, tensors_of
from tests.simulation.invariants import Ledger, Stand, Violation
from tests.simulation.scenario import Scenario, scenario
from tests.simulation.workers import Life, VirtualWorker

MAX_STEPS = 5_000
TRACE = 80

Build = Callable[[Scenario], Dispatcher]


def build(
    settings: Scenario,
    *,
    dispatcher: type[Dispatcher] = Dispatcher,
    queue: type[WorkQueue] = WorkQueue,
    supervisor: type[Supervisor] = Supervisor,
    batcher: Callable[[Batcher], Batcher] = lambda batcher: batcher,
) -> Dispatcher:
    """The dispatcher as a deployment assembles it; or with a part replaced, to see that it is noticed."""
    rng = random.Random(settings.seed + 1)
    replicas = supervisor(settings.replicas, settings.supervision, settings.hang_s, rng)
    by_tokens = settings.max_tokens and settings.batching.policy != "none"
    batching = settings.batching
    chosen = batcher(choice.create_for_tokens(batching, settings.max_tokens) if by_tokens else choice.create(batching))
    return dispatcher(queue(settings.capacity), chosen, replicas, replay=settings.replay)


class World:
    """Runs one scenario to its end. `seen` counts what happened; `trace` holds the last events."""

    def __init__(self, settings: Scenario, make: Build = build):
        self.settings = settings
        self.rng = random.Random(settings.seed)
        self.lengths = random.Random(settings.seed + 2)
        self.dispatcher = make(settings)
        self.workers = [VirtualWorker(index) for index in range(settings.replicas)]
        self.ledger = Ledger(settings, self.dispatcher, self.workers)
        self.now = 0.0
        self.seen: Counter[str] = Counter()
        self.trace: deque[tuple[float, str, Any]] = deque(maxlen=TRACE)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = 0
        self._wake = math.inf
        self._ids = 0
        self._contents = 0
        self._steps = 0
        self._wholes: dict[Parts, list[int]] = {}

    # --- time

    def run(self) -> None:
        """Plays the scenario, then probes. Raises `Violation`."""
        self._plan()
        self._decide()
        self._play()
        self.ledger.settled()
        self._probe()
        self.ledger.settled()
        if self._wholes:
            raise Violation("ends once", f"{len(self._wholes)} large requests never ended")

    def at(self, moment: float, event: Callable[..., None], *args: Any) -> None:
        """Something will happen."""
        self._order += 1
        heapq.heappush(self._events, (moment, self._order, partial(event, *args) if args else event))

    def note(self, what: str, about: Any = "") -> None:
        """Remembers an event for the trace, and that it happened at all."""
        self.trace.append((self.now, what, about if isinstance(about, (int, str)) else repr(about)))
        self.seen[what] += 1

    def _play(self) -> None:
        while True:
            moment = min(self._events[0][0] if self._events else math.inf, self._wake)
            if moment == math.inf:
                return
            self._steps += 1
            if self._steps > MAX_STEPS:
                raise Violation("wake", f"{MAX_STEPS} steps without an end")
            self._turn(moment)
            self._decide()

    def _turn(self, moment: float) -> None:
        """One turn of the event loop: everything that comes within it happens before a decision."""
        end = moment + (self.rng.uniform(0, self.settings.turn_s) if self.settings.turn_s else 0.0)
        while self._events and self._events[0][0] <= end:
            self.now, _, event = heapq.heappop(self._events)
            event()
        self.now = max(self.now, end)

    def _decide(self) -> None:
        self.ledger.before_decision()
        decisions = self.dispatcher.decide(self.now)
        self.ledger.told(decisions, self.now)
        for replica in decisions.kill:
            self._kill(self.workers[replica])
        for replica in decisions.spawn:
            self._spawn(self.workers[replica])
        for replica, batch in decisions.start:
            self.ledger.started(replica, batch, self.now)
            self._start(self.workers[replica], batch)
        self._wake = decisions.wake_at
        self.ledger.decided(decisions.wake_at, self.now)

    # --- the plan

    def _plan(self) -> None:
        traffic, trouble, rng = self.settings.traffic, self.settings.trouble, self.rng
        left = traffic.requests
        while left > 0:
            burst = min(left, rng.randint(1, traffic.burst))
            moment = rng.uniform(0, traffic.span_s)
            for _ in range(burst):
                self.at(moment, self._arrive)
            left -= burst
        for _ in range(trouble.idle_crashes):
            self.at(rng.uniform(0, traffic.span_s), self._crash_any)
        if trouble.outage:
            self.at(trouble.outage[0], self._crash_all)
        if self.settings.drain_at is not None:
            self.at(self.settings.drain_at, self._drain)

    def _drain(self) -> None:
        self.note("drain")
        self.dispatcher.draining = True

    def _crash_any(self) -> None:
        worker = self.rng.choice(self.workers)
        if worker.life is not Life.DOWN:
            self._crash(worker)

    def _crash_all(self) -> None:
        for worker in self.workers:
            if worker.life is not Life.DOWN:
                self._crash(worker)

    # --- clients

    def _arrive(self) -> None:
        """A client sends a request of some kind."""
        traffic, rng = self.settings.traffic, self.rng
        kind = self._kind()
        key: object = rng.randrange(traffic.keys)
        rows = rng.randint(1, min(traffic.max_rows, self.settings.max_size))
        if rng.random() < traffic.empty:
            rows, key = 0, "no rows"
        if rows and rng.random() < traffic.large:
            self._send_large(rng.randint(1, 3) * self.settings.max_size + rng.randint(0, 2), key)
            return
        ids = self._new_ids(rows)
        level = rng.randrange(traffic.levels)
        sent = self._send(ids, kind, self._new_content(), key, level, self._deadline())
        if sent is not None and rng.random() < traffic.twin:
            sent.twin = self._send(self._new_ids(rows), Kind.GOOD, self._new_content(), key, level, self._deadline())

    def _kind(self) -> Kind:
        traffic, dice = self.settings.traffic, self.rng.random
        if dice() < traffic.crash:
            return Kind.CRASH
        if dice() < traffic.hang:
            return Kind.HANG
        return Kind.BAD if dice() < traffic.bad else Kind.GOOD

    def _deadline(self) -> float:
        traffic = self.settings.traffic
        if self.rng.random() >= traffic.deadline:
            return NEVER
        return self.now + self.rng.uniform(-0.02, 1) * traffic.short_s

    def _new_ids(self, rows: int) -> list[int]:
        self._ids += rows
        return list(range(self._ids - rows, self._ids))

    def _new_content(self) -> int:
        self._contents += 1
        return self._contents

    def _send(self, ids: list[int], kind: Kind, content: int, key: object, level: int, deadline: float) -> Sent | None:
        """Submits one piece of work; None when it is refused."""
        # Zero rows carry no identity, so the content must: the fingerprint sees names and shapes too.
        tensors = tensors_of(ids) if ids else {**tensors_of(ids), "content": Tensor("INT64", np.array([content]))}
        work = self._sized(Work(tensors, len(ids), self._ended, key=key, level=level, deadline=deadline))
        return self._submit(Sent(work, ids, kind, content))

    def _sized(self, work: Work) -> Work:
        """Gives work a tenant, and a length where rows are counted in tokens."""
        work.place = self.lengths.randrange(self.settings.tenants) if self.settings.tenants > 1 else 0
        work.weight = 2.0 if work.place == 1 else 1.0
        if self.settings.max_tokens and not isinstance(work.key, LaneKey):
            length = self.lengths.choice((2, 3, 9, 15, 16, 31, 33, 200))
            work.size = work.rows * length
            work.key = LaneKey(work.key, band(length))
        elif isinstance(work.key, LaneKey):
            work.size = work.rows * 2 ** (work.key.band // 2 - 1)
        return work

    def _submit(self, sent: Sent) -> Sent | None:
        reasons = self.ledger.reasons(sent, self.now)
        try:
            self.dispatcher.submit(sent.work, self.now)
        except PenstockError as error:
            self.note(f"refused {error.code}", sent)
            self.ledger.refused(sent, error, reasons)
            return None
        self.note("admitted", sent)
        self.ledger.admitted(sent, reasons)
        if self.rng.random() < self.settings.traffic.cancel:
            self.at(self.now + self.rng.expovariate(5), self._cancel, sent)
        return sent

    def _send_large(self, rows: int, key: object) -> None:
        """A request of more rows than a batch may have: pieces, put together again by `Parts`."""
        ids, deadline = self._new_ids(rows), self._deadline()
        pieces: list[Sent] = []
        by_work: dict[Work, Sent] = {}
        parts = Parts(self._whole_ended, lambda work: self._cancel(by_work[work]))
        parts.owner = parts
        for span in spans(rows, self.settings.max_size):
            piece = cut(tensors_of(ids), *span)
            own = piece["id"].array.tolist()
            work = self._sized(Work(piece, len(own), partial(self._part_ended, parts), key=key, deadline=deadline))
            parts.works.append(work)
            pieces.append(Sent(work, own, self._kind(), self._new_content()))
            by_work[work] = pieces[-1]
        self._wholes[parts] = ids
        for number, sent in enumerate(pieces):
            if self._submit(sent) is None:
                del self._wholes[parts]
                for earlier in pieces[:number]:
                    self._cancel(earlier)
                return

    def _cancel(self, sent: Sent) -> None:
        """The client hangs up."""
        if sent.stand is not Stand.ENDED:
            self.note("cancelled", sent)
            sent.given_up = True
            self.dispatcher.cancel(sent.work, Cancelled("the request was cancelled"))
            if sent.stand is not Stand.ENDED:
                raise Violation("ends once", f"{sent} was cancelled and did not end at once")

    def _ended(self, work: Work, outcome: Outcome) -> None:
        """A reply reaches its client, who may act inside the very call: hang up elsewhere, or send again."""
        sent = self.ledger.ended(work, outcome, self.now)
        ending = outcome.code if isinstance(outcome, PenstockError) else "result"
        self.note(f"ended {ending}", sent)
        if sent.twin is not None:
            self._cancel(sent.twin)
        if isinstance(outcome, PenstockError) and self.rng.random() < self.settings.traffic.resend:
            again = partial(self._send, sent.ids, sent.kind, sent.content, work.key, work.level, self._deadline())
            if sent.failures + sent.deaths + self._ids < 200:
                self._ids += 1
                self.at(self.now, again) if self.rng.random() < 0.5 else again()

    def _part_ended(self, parts: Parts, work: Work, outcome: Outcome) -> None:
        self.note("ended part", self.ledger.ended(work, outcome, self.now))
        if parts in self._wholes or not isinstance(outcome, PenstockError):
            parts.part_ended(work, outcome)

    def _whole_ended(self, work: Work, outcome: Outcome) -> None:
        """A large request is put together."""
        ids = self._wholes.pop(work.owner, None)
        if ids is None:
            raise Violation("ends once", "a large request ended twice")
        if isinstance(outcome, PenstockError):
            self.note(f"whole ended {outcome.code}")
        elif outcome["id"].array.tolist() != ids:
            raise Violation("own rows", f"a large request got {outcome['id'].array.tolist()} for {ids}")
        else:
            self.note("whole ended result")

    # --- workers

    def _spawn(self, worker: VirtualWorker) -> None:
        self.note("spawn", worker.id)
        worker.life_id += 1
        worker.doomed = False
        worker.move(Life.LOADING, self.now)
        trouble, rng = self.settings.trouble, self.rng
        took = self.now + rng.uniform(0.5, 1) * trouble.load_s
        if self._in_outage() or (self._troubled() and rng.random() < trouble.load_crash):
            self.at(took, self._die, worker, worker.life_id)
        elif not (self._troubled() and rng.random() < trouble.load_hang):
            self.at(took, self._loaded, worker, worker.life_id)

    def _loaded(self, worker: VirtualWorker, life_id: int) -> None:
        if worker.life_id != life_id:
            return
        self.note("ready", worker.id)
        if not worker.doomed:
            worker.move(Life.READY, self.now)
        self.dispatcher.ready(worker.id, self.now)

    def _start(self, worker: VirtualWorker, batch: Batch) -> None:
        """The batch meets its fate: poison and bad requests have theirs, chance has the rest."""
        kinds = {sent.kind for sent in worker.batch}
        self.note("start", f"worker {worker.id} batch {batch.id} {worker.batch}")
        worker.move(Life.BUSY, self.now)
        if worker.life_id < 0:
            return
        trouble, rng = self.settings.trouble, self.rng
        chance = rng.random() if self._troubled() else 1.0
        took = self.now + rng.uniform(0.2, 1) * trouble.compute_s
        if rng.random() < trouble.slow:
            took += self._slowness()
        if Kind.CRASH in kinds or chance < trouble.crash:
            self.at(took, self._die, worker, worker.life_id)
        elif Kind.HANG in kinds or chance < trouble.crash + trouble.hang:
            self.note("hangs", worker.id)
        elif Kind.BAD in kinds:
            self.at(took, self._raise, worker, worker.life_id, batch)
        else:
            self.at(took, self._answer, worker, worker.life_id, batch)

    def _slowness(self) -> float:
        """Slow is anything up to a hang; and, while there is trouble, just over it: the answer races the kill."""
        hang_s = self.settings.hang_s
        if self._troubled() and self.rng.random() < 0.4:
            return hang_s + self.rng.uniform(-0.1, 0.1)
        return self.rng.uniform(0, 0.5) * hang_s

    def _answer(self, worker: VirtualWorker, life_id: int, batch: Batch) -> None:
        """The worker echoes its rows; the dispatcher cuts them apart."""
        if worker.life_id != life_id:
            return
        self.note("answer", worker.id)
        echo = np.concatenate([work.tensors["id"].array for work in batch.works])
        sents = self.ledger.answered(worker.id)
        self._free(worker)
        self.dispatcher.completed(worker.id, partial(_cut, echo), 0.0, self.now)
        self.ledger.check_answered(sents)

    def _raise(self, worker: VirtualWorker, life_id: int, batch: Batch) -> None:
        if worker.life_id != life_id:
            return
        if self.settings.names_rows and batch.rows:
            self._name_rows(worker, batch)
            return
        self.note("model raises", worker.id)
        sents = self.ledger.failed(worker.id)
        self._free(worker)
        self.dispatcher.failed(worker.id, ModelFailed("the model failed on this input"), self.now)
        self.ledger.check_put_back(sents)

    def _name_rows(self, worker: VirtualWorker, batch: Batch) -> None:
        """The model refuses rows by their numbers, before it computes anything."""
        self.note("model names rows", worker.id)
        sents = self.ledger.answered(worker.id)
        reasons: dict[int, str] = {}
        at = 0
        for sent in sents:
            sent.wrong = sent.kind is Kind.BAD and sent.work.rows > 0
            if sent.wrong:
                reasons[at + self.lengths.randrange(sent.work.rows)] = "wrong"
            at += sent.work.rows
        self._free(worker)
        self.dispatcher.failed(worker.id, BadRows(reasons), self.now)
        self.ledger.check_spared(sents)

    def _free(self, worker: VirtualWorker) -> None:
        if not worker.doomed:
            worker.move(Life.READY, self.now)

    def _kill(self, worker: VirtualWorker) -> None:
        """SIGKILL: death follows a little later; what is already in the pipe still arrives."""
        self.note("kill", worker.id)
        worker.doomed = True
        self.at(self.now + self.rng.uniform(0, 0.1), self._die, worker, worker.life_id)

    def _crash(self, worker: VirtualWorker) -> None:
        """The process is gone at once, and the server learns of it a little later."""
        self.note(f"crash while {worker.life.value}", worker.id)
        worker.life_id = -abs(worker.life_id)
        self.at(self.now + self.rng.uniform(0, 0.005), self._die, worker, worker.life_id)

    def _die(self, worker: VirtualWorker, life_id: int) -> None:
        if worker.life_id != life_id or worker.life is Life.DOWN:
            return
        self.note(f"died while {worker.life.value}", worker.id)
        sents = self.ledger.died(worker.id)
        worker.life_id = abs(worker.life_id) + 1
        worker.move(Life.DOWN, self.now)
        self.dispatcher.exited(worker.id, self.now)
        self.ledger.check_put_back(sents)

    def _troubled(self) -> bool:
        return self.now < self.settings.trouble.calm_at

    def _in_outage(self) -> bool:
        outage = self.settings.trouble.outage
        return outage is not None and outage[0] <= self.now < outage[1]

    # --- afterwards

    def _probe(self) -> None:
        """A normal request gets a normal answer, a fatal one its refusal; a drained server refuses both."""
        self.note("probe")
        for sent in [sent for sent in self.ledger.of.values() if sent.content in self.ledger.fatal]:
            self._send(sent.ids, sent.kind, sent.content, sent.work.key, 0, NEVER)
        ids = self._new_ids(1)
        probe = self._send(ids, Kind.GOOD, self._new_content(), 0, 0, NEVER)
        self._decide()
        if probe is None and not self.dispatcher.draining:
            raise Violation("recovers", "a normal request is refused when everything is well")
        if probe is not None:
            self._after_probe(probe)

    def _after_probe(self, probe: Sent) -> None:
        while probe.stand is not Stand.ENDED and (self._events or self._wake < math.inf):
            self._turn(min(self._events[0][0] if self._events else math.inf, self._wake))
            self._decide()
        self._play()
        self._drain()
        self._decide()
        self._play()


def _cut(echo: np.ndarray[Any, Any], start: int, stop: int) -> Tensors:
    return {"id": Tensor("INT64", echo[start:stop])}


def simulate(seed: int, make: Build = build) -> World:
    """Runs one seed; the world afterwards. Raises `Violation`, with the world's trace as notes."""
    world = World(scenario(seed), make)
    try:
        world.run()
    except Exception as error:
        error.add_note(told(world))
        raise
    return world


def told(world: World) -> str:
    """The last events before the end, for people."""
    lines = [f"{moment:10.4f}  {what}  {about}" for moment, what, about in world.trace]
    return "\n".join([f"seed {world.settings.seed}: {world.settings}", *lines])
