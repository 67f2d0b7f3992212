"""What must never break, checked by a ledger that keeps its own books from what it sees happen.

It never asks the dispatcher what it thinks; it only compares the dispatcher's counts with its own.
"""

from __future__ import annotations

import math
from enum import IntEnum

from penstock.core.errors import (
    BadInput,
    Cancelled,
    CrashLooping,
    DeadlineExceeded,
    Draining,
    ModelFailed,
    Overloaded,
    PenstockError,
    RequestRefused,
    WorkerLost,
)
from penstock.core.reply import Outcome
from penstock.scheduling.deadlines import TICK_S
from penstock.scheduling.dispatcher import Batch, Decisions, Dispatcher
from penstock.scheduling.queue import PATIENCE_S
from penstock.scheduling.tokens import LaneKey
from penstock.scheduling.work import Work
from tests.simulation.clients import Kind, Sent
from tests.simulation.scenario import Scenario
from tests.simulation.workers import Life, VirtualWorker

EPSILON = 1e-9
SPREAD = 1.2

RULES = {
    "ends once": "every admitted piece of work ends exactly once",
    "own rows": "every row goes back to who sent it, in order",
    "right end": "work ends as what happened to it says, and the innocent succeed",
    "live only": "nothing that has ended (cancelled, answered, failed) is started",
    "in time": "nothing expired is started, and what expires ends within a tick",
    "batch size": "no batch exceeds its limit; without batching, every request runs alone",
    "one key": "no batch mixes incompatible requests",
    "order": "nobody is overtaken by the less urgent, and priorities age",
    "one batch": "a worker runs one batch at a time, and only when it is up",
    "no waiting": "nothing waits that could start, and a batch waits for company as long as it was told",
    "wake": "acting at wake_at and at events is enough, and it never spins",
    "counts": "the queue's counts are exact, and never over capacity",
    "admission": "a request is refused when there is a reason, and only then",
    "poison": "what killed two workers is refused then and afterwards",
    "pauses": "workers restart with pauses that grow and are bounded; hung ones are killed, no others",
    "drained": "the deployment is idle exactly when everything has ended",
    "recovers": "when the trouble is over, a normal request gets a normal answer",
}


class Violation(AssertionError):
    """An invariant broke."""

    def __init__(self, rule: str, text: str):
        super().__init__(f"{rule}: {text}  [{RULES[rule]}]")
        self.rule = rule


class Stand(IntEnum):
    """Where a piece of work stands, as the ledger sees it."""

    OUTSIDE = 0
    QUEUED = 1
    RUNNING = 2
    AGAIN = 3
    ENDED = 4


class Ledger:
    """The books of one simulated world."""

    def __init__(self, scenario: Scenario, dispatcher: Dispatcher, workers: list[VirtualWorker]):
        self.scenario = scenario
        self.dispatcher = dispatcher
        self.workers = workers
        self.of: dict[Work, Sent] = {}
        self.live: dict[Sent, None] = {}
        self.queued = 0
        self.rows_of_key: dict[object, int] = {}
        self.size_of_key: dict[object, int] = {}
        self.running_rows = 0
        self.deaths_in_row = 0
        self.fatal: set[int] = set()
        self.blamed: dict[int, int] = {}
        self.deciding = False
        self.lapsed: list[Sent] = []
        self.ended_now: set[Sent] = set()
        self.newborn: set[Sent] = set()

    # --- admission

    def reasons(self, sent: Sent, now: float) -> set[type[PenstockError]]:
        """Why this piece must be refused now; nothing: it must be admitted."""
        settings = self.scenario.supervision
        reasons: set[type[PenstockError]] = set()
        if self.dispatcher.draining:
            reasons.add(Draining)
        if self.deaths_in_row >= settings.crash_loop_after and not any(worker.up for worker in self.workers):
            reasons.add(CrashLooping)
        if sent.content in self.fatal:
            reasons.add(RequestRefused)
        if sent.work.deadline <= now:
            reasons.add(DeadlineExceeded)
        if self.queued >= self.scenario.capacity:
            reasons.add(Overloaded)
        return reasons

    def admitted(self, sent: Sent, reasons: set[type[PenstockError]]) -> None:
        if reasons:
            raise Violation("admission", f"{sent} was admitted in spite of {_names(reasons)}")
        sent.stand = Stand.QUEUED
        self.of[sent.work] = sent
        self.live[sent] = None
        self._count(sent, 1)
        if self.deciding:
            self.newborn.add(sent)

    def refused(self, sent: Sent, error: PenstockError, reasons: set[type[PenstockError]]) -> None:
        if type(error) not in reasons:
            raise Violation("admission", f"{sent} was refused with {error!r}; reasons: {_names(reasons) or 'none'}")

    # --- batches

    def started(self, replica: int, batch: Batch, now: float) -> None:
        """A decision to run a batch."""
        worker = self.workers[replica]
        if worker.life is not Life.READY:
            raise Violation("one batch", f"worker {replica} was given batch {batch.id} while {worker.life.value}")
        sents = [self.of[work] for work in batch.works]
        for sent in sents:
            if sent.stand is Stand.ENDED and sent not in self.ended_now:
                raise Violation("live only", f"{sent} started though it had ended")
            if sent.stand is Stand.RUNNING:
                raise Violation("one batch", f"{sent} runs twice")
            if sent.work.deadline <= now:
                raise Violation("in time", f"{sent} started at {now:.4f}, after its deadline")
        self._check_size(batch, sents)
        if any(sent.stand is Stand.QUEUED for sent in sents):
            self._check_turn(sents, now)
            self._check_patience(_kind(sents[0]), now)
        for sent in sents:
            if sent.stand is Stand.QUEUED:
                self._count(sent, -1)
            if sent.stand is not Stand.ENDED:
                sent.stand = Stand.RUNNING
        worker.batch = sents
        self.running_rows += batch.rows

    def _check_size(self, batch: Batch, sents: list[Sent]) -> None:
        rows = sum(sent.work.rows for sent in sents)
        if not sents or rows > self.scenario.max_size or rows != batch.rows:
            raise Violation("batch size", f"batch {batch.id}: {rows} rows of {len(sents)} (says {batch.rows})")
        if len(sents) > 1:
            if self.scenario.batching.policy == "none":
                raise Violation("batch size", f"batch {batch.id} holds {len(sents)} requests without batching")
            if any(sent.work.deaths for sent in sents):
                raise Violation("poison", f"batch {batch.id}: a suspect runs in company")
            if self.by_tokens and sum(sent.work.size for sent in sents) > self.scenario.max_tokens:
                raise Violation("batch size", f"batch {batch.id} holds over {self.scenario.max_tokens} tokens: {sents}")
        if len({_kind(sent) for sent in sents}) != 1:
            raise Violation("one key", f"batch {batch.id} mixes {[sent.work.key for sent in sents]}")

    @property
    def by_tokens(self) -> bool:
        """Whether batches are filled by tokens."""
        return bool(self.scenario.max_tokens) and self.scenario.batching.policy != "none"

    def _full(self, waiting: list[Work]) -> bool:
        """Whether so much work fills a batch."""
        if self.by_tokens and sum(work.size for work in waiting) >= self.scenario.max_tokens:
            return True
        return sum(work.rows for work in waiting) >= self.scenario.max_size

    def _check_turn(self, chosen: list[Sent], now: float) -> None:
        """Whoever stays behind, and could have started, is no more urgent; so everyone's turn comes. Among several
        tenants this holds for each one's work of one key: which tenant is next is a matter of shares."""
        kind, alone = _kind(chosen[0]), self.scenario.tenants == 1
        last = {(sent.work.key, sent.work.place): _urgency(sent) for sent in sorted(chosen, key=_urgency)}
        first = min(map(_urgency, [*chosen, *(sent for sent in self.lapsed if _kind(sent) == kind)]))
        members = {*chosen, *self.newborn}
        for other in self.live:
            if other.stand is not Stand.QUEUED or other in members:
                continue
            # Lanes of one kind go together: when one may start, so may its neighbours.
            ripe = other.work.arrived + self.scenario.wait_s <= now or self.dispatcher.draining or _kind(other) == kind
            bound = last.get((other.work.key, other.work.place), first if ripe and alone else -math.inf)
            if _urgency(other) < bound - EPSILON:
                raise Violation("order", f"{other} was overtaken by {chosen}")

    def _check_patience(self, kind: object, now: float) -> None:
        """A batch that starts early is full, or its oldest work has waited."""
        wait_s = self.scenario.wait_s
        if wait_s == 0 or self.dispatcher.draining:
            return
        waiting = [sent for sent in self.live if sent.stand is Stand.QUEUED and _kind(sent) == kind]
        waiting += [sent for sent in self.lapsed if _kind(sent) == kind]
        rows = sum(sent.work.rows for sent in waiting)
        oldest = min((sent.work.arrived for sent in waiting), default=-math.inf)
        if not self._full([sent.work for sent in waiting]) and oldest + wait_s > now + EPSILON:
            raise Violation("no waiting", f"a batch of {rows} rows started {oldest + wait_s - now:.4f}s too early")

    def back(self, replica: int) -> list[Sent]:
        """A worker no longer runs its batch (answered, failed or died); returns what it ran."""
        worker = self.workers[replica]
        sents, worker.batch = worker.batch, []
        self.running_rows -= sum(sent.work.rows for sent in sents)
        return sents

    def answered(self, replica: int) -> list[Sent]:
        """The batch comes back with results: everything in it must have ended afterwards."""
        self.deaths_in_row = self.workers[replica].deaths = 0
        return self.back(replica)

    def failed(self, replica: int) -> list[Sent]:
        """The model raises on the batch."""
        sents = self.answered(replica)
        for sent in sents:
            sent.failures += 1
            sent.accused = sent.accused or any(other.kind is Kind.BAD for other in sents)
        return sents

    def died(self, replica: int) -> list[Sent]:
        """The worker dies, with or without a batch."""
        self.deaths_in_row += 1
        self.workers[replica].deaths += 1
        sents = self.back(replica)
        if len(sents) == 1:
            self.blamed[sents[0].content] = self.blamed.get(sents[0].content, 0) + 1
            if self.blamed[sents[0].content] >= 2:
                self.fatal.add(sents[0].content)
        for sent in sents:
            if sent.stand is not Stand.ENDED:
                sent.deaths += 1
                if sent.deaths >= 2:
                    self.fatal.add(sent.content)
        return sents

    def check_answered(self, sents: list[Sent]) -> None:
        for sent in sents:
            if sent.stand is not Stand.ENDED:
                raise Violation("ends once", f"{sent} got no reply though its batch came back")

    def check_put_back(self, sents: list[Sent]) -> None:
        """After a failure or a death: what has not ended will run again, if it may."""
        for sent in sents:
            if sent.stand is Stand.ENDED:
                continue
            if sent.deaths and sent.content in self.fatal:
                raise Violation("poison", f"{sent} killed two workers and is to run again")
            if not self.scenario.replay or (sent.failures and len(sents) == 1 and not sent.deaths):
                raise Violation("right end", f"{sent} should have ended with its batch")
            if sent.failures > 6:
                raise Violation("poison", f"{sent} fails again and again")
            sent.stand = Stand.AGAIN

    def check_spared(self, sents: list[Sent]) -> None:
        """After the model has named wrong rows: those have ended, and all others run again, whoever they are."""
        for sent in sents:
            if sent.stand is Stand.ENDED:
                continue
            if sent.wrong:
                raise Violation("ends once", f"{sent} is wrong and has not ended")
            sent.stand = Stand.AGAIN

    # --- ends

    def ended(self, work: Work, outcome: Outcome, now: float) -> Sent:
        """Work has ended; it must be the only time, and for a good reason."""
        sent = self.of[work]
        if sent.stand is Stand.ENDED:
            raise Violation("ends once", f"{sent} ended a second time, with {outcome!r}")
        if sent.stand is Stand.QUEUED:
            self._count(sent, -1)
            self.lapsed.append(sent)
        sent.stand = Stand.ENDED
        if self.deciding:
            # Someone told of an end in mid-decision may cancel what that decision has started.
            self.ended_now.add(sent)
        del self.live[sent]
        if isinstance(outcome, PenstockError):
            self._check_error(sent, outcome, now)
        else:
            self._check_rows(sent, outcome)
        return sent

    def _check_rows(self, sent: Sent, outcome: Outcome) -> None:
        assert not isinstance(outcome, PenstockError)
        if outcome["id"].array.tolist() != sent.ids:
            raise Violation("own rows", f"{sent} sent {sent.ids} and got {outcome['id'].array.tolist()}")
        if sent.kind is not Kind.GOOD:
            raise Violation("right end", f"{sent} cannot succeed")

    def _check_error(self, sent: Sent, error: PenstockError, now: float) -> None:
        deadline, late_s = sent.work.deadline, TICK_S + self.scenario.turn_s
        excuse = {
            Cancelled: sent.given_up,
            BadInput: sent.wrong,
            DeadlineExceeded: deadline - EPSILON <= now <= deadline + late_s + EPSILON,
            ModelFailed: sent.failures > 0 and (sent.kind is Kind.BAD or (sent.accused and not self.scenario.replay)),
            RequestRefused: sent.content in self.fatal and self.blamed.get(sent.content, 0) > 0,
            WorkerLost: sent.deaths > 0 and not self.scenario.replay,
        }.get(type(error), False)
        if not excuse:
            raise Violation("right end", f"{sent} ended with {error!r} at {now:.4f}")

    # --- decisions

    def before_decision(self) -> None:
        self.deciding = True
        self.lapsed.clear()
        self.ended_now.clear()
        self.newborn.clear()

    def told(self, decisions: Decisions, now: float) -> None:
        """Checks what the supervisor wants, before it is done."""
        for replica in decisions.kill:
            worker = self.workers[replica]
            if worker.doomed or now < self._patience_ends(worker) - EPSILON:
                raise Violation("pauses", f"worker {replica} was killed while {worker.life.value}, without need")
        for replica in decisions.spawn:
            worker = self.workers[replica]
            if worker.life is not Life.DOWN or now < worker.since + self._pause(worker) / 1.5 - EPSILON:
                raise Violation("pauses", f"worker {replica} restarted too early ({worker.life.value})")

    def decided(self, wake_at: float, now: float) -> None:
        """Checks the state that a decision leaves behind."""
        self.deciding = False
        if wake_at <= now:
            raise Violation("wake", f"wants to be asked again at {wake_at} though it is {now}")
        free = any(worker.life is Life.READY for worker in self.workers)
        latest, why = self._must_act_by(free)
        if latest <= now - EPSILON:
            raise Violation("no waiting", f"{why} should have happened at {latest:.4f}; it is {now:.4f}")
        if wake_at > latest + EPSILON:
            raise Violation("wake", f"{why} is due by {latest:.4f}; wakes at {wake_at:.4f}")
        self._check_counts()

    def _must_act_by(self, free: bool) -> tuple[float, str]:
        """The latest moment at which something must be done that no event announces."""
        latest, why = math.inf, ""
        waiting: dict[object, list[Work]] = {}
        for sent in self.live:
            work = sent.work
            if work.deadline + TICK_S < latest:
                latest, why = work.deadline + TICK_S, f"the end of {sent}"
            if free and sent.stand is Stand.AGAIN:
                return -math.inf, f"the replay of {sent}"
            if free and sent.stand is Stand.QUEUED:
                waiting.setdefault(_kind(sent), []).append(work)
        hurry = self.scenario.wait_s == 0 or self.dispatcher.draining
        for kind, works in waiting.items():
            oldest = min(work.arrived for work in works)
            ripe = -math.inf if hurry or self._full(works) else oldest + self.scenario.wait_s
            if ripe < latest:
                latest, why = ripe, f"the start of a batch of {kind}"
        for worker in self.workers:
            if self._patience_ends(worker) < latest:
                latest, why = self._patience_ends(worker), f"something about worker {worker.id}"
        return latest, why

    def _patience_ends(self, worker: VirtualWorker) -> float:
        """When a worker must have been restarted or killed."""
        if worker.doomed or worker.life is Life.READY:
            return math.inf
        if worker.life is Life.BUSY:
            deadlines = [sent.work.deadline for sent in worker.batch if sent.work.deadline != math.inf]
            return max(worker.since + self.scenario.hang_s, *deadlines, 0.0)
        if worker.life is Life.LOADING:
            return worker.since + self.scenario.supervision.load_timeout_s
        return worker.since + self._pause(worker)

    def _pause(self, worker: VirtualWorker) -> float:
        """The longest pause that the settings allow before this restart."""
        settings = self.scenario.supervision
        if worker.deaths <= 1:
            return 0.0
        return SPREAD * min(settings.max_backoff_s, settings.backoff_s * 2.0 ** (worker.deaths - 2))

    def _check_counts(self) -> None:
        dispatcher = self.dispatcher
        queue = dispatcher.queue
        if not queue.live == self.queued <= self.scenario.capacity:
            raise Violation("counts", f"the queue says {queue.live}, {self.queued} wait (capacity {queue.capacity})")
        if dispatcher.running != self.running_rows:
            raise Violation("counts", f"running says {dispatcher.running}, {self.running_rows} rows run")
        for key, lane in queue.lanes.items():
            if lane.rows != self.rows_of_key.get(key, 0):
                raise Violation("counts", f"lane {key} says {lane.rows} rows, {self.rows_of_key.get(key, 0)} wait")
            if lane.size != self.size_of_key.get(key, 0):
                raise Violation("counts", f"lane {key} says {lane.size} tokens, {self.size_of_key.get(key, 0)} wait")
        expected = sum(sent.work.deadline < math.inf for sent in self.live)
        if watched(dispatcher) != expected:
            raise Violation("counts", f"{watched(dispatcher)} deadlines are watched, {expected} live work has one")
        busy = any(worker.batch for worker in self.workers)
        if dispatcher.idle == bool(self.live or busy):
            raise Violation("drained", f"idle is {dispatcher.idle}; {len(self.live)} live, busy workers: {busy}")

    def settled(self) -> None:
        """Nothing more will happen: everything must have ended, and nothing may be left behind."""
        if self.live:
            raise Violation("ends once", f"never ended: {list(self.live)[:3]}")
        for worker in self.workers:
            if worker.life is not Life.READY:
                raise Violation("recovers", f"worker {worker.id} stays {worker.life.value}")
        dispatcher = self.dispatcher
        left = [len(dispatcher.queue.lanes), len(dispatcher._retries), watched(dispatcher)]
        if any(left):
            raise Violation("counts", f"left behind: lanes, retries, deadlines = {left}")

    def _count(self, sent: Sent, sign: int) -> None:
        work = sent.work
        self.queued += sign
        self.rows_of_key[work.key] = self.rows_of_key.get(work.key, 0) + sign * work.rows
        self.size_of_key[work.key] = self.size_of_key.get(work.key, 0) + sign * work.size


def watched(dispatcher: Dispatcher) -> int:
    """How many deadlines are still watched."""
    return sum(map(len, dispatcher._deadlines._buckets.values()))


def _kind(sent: Sent) -> object:
    """What work must share to run together."""
    key = sent.work.key
    return key.kind if isinstance(key, LaneKey) else key


def _urgency(sent: Sent) -> float:
    return sent.work.arrived + sent.work.level * PATIENCE_S


def _names(reasons: set[type[PenstockError]]) -> str:
    return ", ".join(sorted(reason.__name__ for reason in reasons))
