"""Planted bugs: the simulation must catch each of them, and by the rule that it breaks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, ClassVar

import pytest

from penstock.core.errors import BadInput, BadRows, PenstockError
from penstock.core.reply import Outcome
from penstock.core.tensors import Tensors
from penstock.scheduling import dispatcher as dispatcher_file
from penstock.scheduling import queue as queue_file
from penstock.scheduling.batching.policy import Batcher
from penstock.scheduling.dispatcher import Batch, Decisions, Dispatcher
from penstock.scheduling.quarantine import Quarantine
from penstock.scheduling.queue import Lane, WorkQueue
from penstock.scheduling.supervision import Due, Life, Replica, Supervisor
from penstock.scheduling.work import Phase, Work
from tests.simulation.__main__ import main
from tests.simulation.invariants import Violation
from tests.simulation.world import Build, build, simulate

SEEDS = 2200
Rows = Callable[[int, int], Outcome]


class SwappedRows(Dispatcher):
    """Two requests of a batch get each other's rows."""

    def completed(self, replica_id: int, rows: Rows, compute_s: float, now: float) -> None:
        batch = self.supervisor.replicas[replica_id].batch
        batch.works.reverse()
        super().completed(replica_id, rows, compute_s, now)


class EverybodysRows(Dispatcher):
    """The first request of a batch gets everybody's rows."""

    def completed(self, replica_id: int, rows: Rows, compute_s: float, now: float) -> None:
        total = self.supervisor.replicas[replica_id].batch.rows
        super().completed(replica_id, lambda start, stop: rows(start, stop if start else total), compute_s, now)


class LostReply(Dispatcher):
    """The last request of a batch gets no reply."""

    def completed(self, replica_id: int, rows: Rows, compute_s: float, now: float) -> None:
        self.supervisor.replicas[replica_id].batch.works.pop()
        super().completed(replica_id, rows, compute_s, now)


class DoubleReply(Dispatcher):
    """An end is told twice."""

    def _end(self, work: Work, outcome: Outcome) -> None:
        super()._end(work, outcome)
        work.on_end(work, outcome)


class DeafToCancel(Dispatcher):
    """Work that runs is not ended by a cancel."""

    def cancel(self, work: Work, outcome: PenstockError) -> None:
        if work.phase is not Phase.RUNNING:
            super().cancel(work, outcome)


class StartsExpired(Dispatcher):
    """Whatever the queue gives is started."""

    def _claim(self, works: list[Work], now: float) -> list[Work]:
        self._off_the_queue(works)
        return works


class CountsLate(Dispatcher):
    """Work leaves the books after those are told who ended: a cancel in that breath counts it twice."""

    def _claim(self, works: list[Work], now: float) -> list[Work]:
        for work in works:
            if work.deadline <= now:
                self._end(work, dispatcher_file._too_late())
        self._off_the_queue(works)
        return [work for work in works if work.deadline > now]


class DropsRetries(Dispatcher):
    """Work of a batch that failed is not run again."""

    def _again(self, works: list[Work]) -> None:
        for work in works:
            work.phase = Phase.QUEUED


class BlamesEverybody(Dispatcher):
    """One bad request fails the whole batch."""

    def failed(self, replica_id: int, error: PenstockError, now: float) -> None:
        self.replay, replay = False, self.replay
        super().failed(replica_id, error, now)
        self.replay = replay


class ForgetsTheInnocent(Dispatcher):
    """When a model names wrong rows, the others are not run again."""

    def _refuse(self, batch: Batch, error: BadRows, now: float) -> list[Work] | None:
        super()._refuse(batch, error, now)
        return []


class NamesTheNeighbour(Dispatcher):
    """A wrong row is counted from one."""

    def failed(self, replica_id: int, error: PenstockError, now: float) -> None:
        if isinstance(error, BadRows):
            error = BadRows({row - 1 if row else row: why for row, why in error.reasons.items()})
        super().failed(replica_id, error, now)


class RevivesTheCancelled(Dispatcher):
    """Who is innocent is decided before the guilty are told, and what is told may cancel others."""

    def _refuse(self, batch: Batch, error: BadRows, now: float) -> list[Work] | None:
        alive = [work for work in batch.works if work.phase is Phase.RUNNING]
        after = super()._refuse(batch, error, now)
        guilty = [work for work in alive if isinstance(self._outcomes.get(work), BadInput)]
        return None if after is None else [work for work in alive if work not in guilty]

    def _end(self, work: Work, outcome: Outcome) -> None:
        self._outcomes[work] = outcome
        super()._end(work, outcome)

    _outcomes: ClassVar[dict[Work, Outcome]] = {}


class ReplaysInCompany(Dispatcher):
    """What a dead worker ran is run again as it was."""

    def exited(self, replica_id: int, now: float) -> None:
        batch = self.supervisor.replicas[replica_id].batch
        super().exited(replica_id, now)
        alone = [group[0] for group in self._retries if isinstance(batch, Batch) and group[0] in batch.works]
        for work in alone:
            self._left_retries(work)
        self._again(alone)


class IdleByRows(Dispatcher):
    """A batch of zero rows does not count as running."""

    @property
    def idle(self) -> bool:
        return not self.queue and not self._retries and self.running == 0


class ForgetsRetriesLeft(Dispatcher):
    """A cancelled retry stays in its group, so a drain waits for a worker that has nothing to do."""

    def _left_retries(self, work: Work) -> bool:
        return any(work in group for group in self._retries)

    def _claim(self, works: list[Work], now: float) -> list[Work]:
        return super()._claim([work for work in works if work.phase is Phase.QUEUED], now)


class ForgetsToUnwatch(Dispatcher):
    """The deadlines of ended work stay."""

    def _end(self, work: Work, outcome: Outcome) -> None:
        work.end(outcome)


class Oversleeps(Dispatcher):
    """Asks to be woken a little late."""

    def decide(self, now: float) -> Decisions:
        decisions = super().decide(now)
        decisions.wake_at += 0.05
        return decisions


class NeverWakes(Dispatcher):
    """Relies on events alone."""

    def decide(self, now: float) -> Decisions:
        decisions = super().decide(now)
        decisions.wake_at = math.inf
        return decisions


class Spins(Dispatcher):
    """Wants to be asked again at once while anything waits."""

    def decide(self, now: float) -> Decisions:
        decisions = super().decide(now)
        if self.queue:
            decisions.wake_at = now
        return decisions


class TakesWhileDraining(Dispatcher):
    """Drains without closing the door."""

    def submit(self, work: Work, now: float) -> None:
        self.draining, draining = False, self.draining
        try:
            super().submit(work, now)
        finally:
            self.draining = draining


class OverfullBatch(WorkQueue):
    """One row too many."""

    def take(self, lane: Lane, max_rows: int) -> list[Work]:
        return super().take(lane, max_rows + 1)


class LeaksCount(WorkQueue):
    """Cancelled work still counts."""

    def removed(self, work: Work) -> None:
        super().removed(work)
        self.live += 1


class LeaksRows(WorkQueue):
    """Cancelled rows still count."""

    def removed(self, work: Work) -> None:
        super().removed(work)
        self.lanes[work.key].rows += work.rows


class Boundless(WorkQueue):
    """Always room."""

    def check_room(self, works: int) -> None:
        pass


class CarelessLane(Lane):
    """Does not look whether the first in line is still there."""

    def head(self) -> Work | None:
        for name in [name for name, line in self.lines.items() if not line]:
            del self.lines[name]
        return min((line[0] for line in self.lines.values()), key=self.rank, default=None)


class StartsCancelled(WorkQueue):
    """Cancelled work stays in line."""

    def push(self, work: Work) -> None:
        self.lanes.setdefault(work.key, CarelessLane(work.key, self.turns))
        super().push(work)


class LastInFirstOut(WorkQueue):
    """The newest goes first."""

    def push(self, work: Work) -> None:
        super().push(work)
        self.lanes[work.key].lines[queue_file.line_of(work)].rotate()


class MixesKeys:
    """Fills a batch up with whatever else waits."""

    def __init__(self, inner: Batcher):
        self.inner = inner

    def next(self, queue: WorkQueue, now: float, *, hurry: bool = False) -> list[Work] | float:
        works = self.inner.next(queue, now, hurry=hurry)
        if isinstance(works, float):
            return works
        room = getattr(self.inner, "max_size", 0) - sum(work.rows for work in works)
        other = [lane for lane, head in queue.heads() if head.rows <= room]
        return works + queue.take(other[0], 0) if other else works


class Impatient(MixesKeys):
    """Never waits for company."""

    def next(self, queue: WorkQueue, now: float, *, hurry: bool = False) -> list[Work] | float:
        return self.inner.next(queue, now, hurry=True)


class Dawdles(MixesKeys):
    """Lets a lone request wait though a worker is idle."""

    def next(self, queue: WorkQueue, now: float, *, hurry: bool = False) -> list[Work] | float:
        if len(queue) == 1 and (head := next(queue.heads(), None)) and now < head[1].arrived + 0.001:
            return head[1].arrived + 0.001
        return self.inner.next(queue, now, hurry=hurry)


class Favours(MixesKeys):
    """The first line that is ripe goes first, however long the others have waited."""

    def next(self, queue: WorkQueue, now: float, *, hurry: bool = False) -> list[Work] | float:
        ripe = [lane for lane, _ in queue.heads() if hurry or lane.oldest() + 0.3 <= now]
        size = getattr(self.inner, "max_size", 0)
        return queue.take(ripe[0], size) if ripe else self.inner.next(queue, now, hurry=hurry)


class IgnoresTokens(WorkQueue):
    """Fills a batch by rows, whatever they hold."""

    def take_by_size(self, lanes: Iterable[Lane], max_rows: int, max_size: int) -> list[Work]:
        return super().take_by_size(lanes, max_rows, 2**31)


class ShortestFirst(WorkQueue):
    """A batch begins with the lane that holds most, and not with the most urgent work."""

    def take_by_size(self, lanes: Iterable[Lane], max_rows: int, max_size: int) -> list[Work]:
        return super().take_by_size(sorted(lanes, key=lambda lane: -lane.rows), max_rows, max_size)


class LeaksTokens(WorkQueue):
    """Cancelled work leaves its tokens in the lane."""

    def removed(self, work: Work) -> None:
        self.lanes[work.key].size += work.size
        super().removed(work)


class OverloadsWorkers(Supervisor):
    """A busy worker is as good as an idle one."""

    def idle(self) -> Replica | None:
        return super().idle() or next((r for r in self.replicas if r.life is Life.BUSY and r.since < self.latest), None)

    latest = math.inf


class TrustsTheDoomed(Supervisor):
    """A worker that was told to die, and answers once more, gets another batch."""

    def finished(self, replica_id: int, now: float) -> None:
        super().finished(replica_id, now)
        self._move(self.replicas[replica_id], Life.IDLE, now, math.inf)


class NeverKills(Supervisor):
    """Hung workers stay."""

    def due(self, now: float) -> Due:
        due = super().due(now)
        for replica_id in due.kill:
            self.replicas[replica_id].killed = False
        return Due(spawn=due.spawn)


class KillsTheSlow(Supervisor):
    """Loses patience at half time."""

    def began(self, replica: Replica, batch: object, now: float, deadline: float = 0.0) -> None:
        super().began(replica, batch, now, deadline)
        replica.until = now + self.hang_s / 2


class NoPause(Supervisor):
    """Restarts at once, again and again."""

    def _pause(self, replica: Replica) -> float:
        return 0.0


class EndlessPause(Supervisor):
    """Pauses that grow without bound."""

    def _pause(self, replica: Replica) -> float:
        return self.settings.backoff_s * 2.0**replica.deaths


class PausesTogether(Supervisor):
    """Counts deaths in one place: a replica that cannot load hides behind one that works."""

    def _pause(self, replica: Replica) -> float:
        replica.deaths = self.deaths_in_row
        return super()._pause(replica)


class NeverRefuses(Supervisor):
    """Queues requests for a model whose workers keep dying."""

    crash_looping = property(lambda self: False)  # type: ignore[assignment]


class BelievesInOne(Quarantine):
    """Forgets who killed."""

    def add(self, tensors: Tensors) -> None:
        pass


class SeesTheLivingOnly(Quarantine):
    """A request that hangs has always timed out when its worker dies: it is never found guilty."""

    def blame(self, tensors: Tensors, now: float) -> None:
        pass


def quarantined(kind: type[Quarantine]) -> Build:
    """A dispatcher with another quarantine."""

    def make(settings: Any) -> Dispatcher:
        made = build(settings)
        made.quarantine = kind()
        return made

    return make


MUTANTS: list[tuple[Build, set[str]]] = [
    (partial(build, dispatcher=SwappedRows), {"own rows"}),
    (partial(build, dispatcher=EverybodysRows), {"own rows"}),
    (partial(build, dispatcher=LostReply), {"ends once"}),
    (partial(build, dispatcher=DoubleReply), {"ends once"}),
    (partial(build, dispatcher=DeafToCancel), {"ends once", "right end"}),
    (partial(build, dispatcher=StartsExpired), {"in time"}),
    (partial(build, dispatcher=CountsLate), {"live only", "counts"}),
    (partial(build, dispatcher=DropsRetries), {"no waiting", "counts", "drained"}),
    (partial(build, dispatcher=BlamesEverybody), {"right end"}),
    (partial(build, dispatcher=ForgetsTheInnocent), {"no waiting", "drained", "counts"}),
    (partial(build, dispatcher=NamesTheNeighbour), {"right end", "ends once"}),
    (partial(build, dispatcher=RevivesTheCancelled), {"live only"}),
    (partial(build, dispatcher=ReplaysInCompany), {"poison"}),
    (partial(build, dispatcher=IdleByRows), {"drained"}),
    (partial(build, dispatcher=ForgetsRetriesLeft), {"drained"}),
    (partial(build, dispatcher=ForgetsToUnwatch), {"counts"}),
    (partial(build, dispatcher=Oversleeps), {"wake"}),
    (partial(build, dispatcher=NeverWakes), {"wake"}),
    (partial(build, dispatcher=Spins), {"wake"}),
    (partial(build, dispatcher=TakesWhileDraining), {"admission"}),
    (partial(build, queue=OverfullBatch), {"batch size"}),
    (partial(build, queue=LeaksCount), {"counts", "admission"}),
    (partial(build, queue=LeaksRows), {"counts", "no waiting"}),
    (partial(build, queue=Boundless), {"admission"}),
    (partial(build, queue=StartsCancelled), {"live only"}),
    (partial(build, queue=IgnoresTokens), {"batch size"}),
    (partial(build, queue=ShortestFirst), {"order"}),
    (partial(build, queue=LeaksTokens), {"counts", "no waiting"}),
    (partial(build, queue=LastInFirstOut), {"order"}),
    (partial(build, batcher=MixesKeys), {"one key"}),
    (partial(build, batcher=Impatient), {"no waiting"}),
    (partial(build, batcher=Dawdles), {"no waiting"}),
    (partial(build, batcher=Favours), {"order"}),
    (partial(build, supervisor=OverloadsWorkers), {"one batch"}),
    (partial(build, supervisor=TrustsTheDoomed), {"one batch"}),
    (partial(build, supervisor=NeverKills), {"wake", "no waiting"}),
    (partial(build, supervisor=KillsTheSlow), {"pauses"}),
    (partial(build, supervisor=NoPause), {"pauses"}),
    (partial(build, supervisor=EndlessPause), {"wake", "no waiting", "pauses"}),
    (partial(build, supervisor=PausesTogether), {"wake", "no waiting", "pauses"}),
    (partial(build, supervisor=NeverRefuses), {"admission"}),
    (quarantined(BelievesInOne), {"poison", "admission"}),
    (quarantined(SeesTheLivingOnly), {"poison", "admission"}),
]


def caught(make: Build) -> tuple[int, str]:
    """The first seed that shows the bug, and the rule that it breaks; (-1, "") when none does."""
    for seed in range(SEEDS):
        try:
            simulate(seed, make)
        except Violation as violation:
            return seed, violation.rule
    return -1, ""


def name_of(make: Any) -> str:
    """The planted bug's name."""
    if isinstance(make, partial):
        return next(iter(make.keywords.values())).__name__
    return make.__closure__[0].cell_contents.__name__ if callable(make) else "-".join(sorted(make))


@pytest.mark.parametrize(("make", "rules"), MUTANTS, ids=name_of)
def test_a_planted_bug_is_caught(make: Build, rules: set[str]) -> None:
    seed, rule = caught(make)
    assert rule in rules, f"seed {seed} broke {rule!r}"


def test_starving_priorities_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The low priorities wait until nothing more urgent is left."""
    monkeypatch.setattr(queue_file, "urgency", lambda work: work.level * 1e9 + work.arrived)
    assert caught(build)[1] == "order"


def test_deaf_priorities_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """First come, first served, whatever the priority."""
    monkeypatch.setattr(queue_file, "urgency", lambda work: work.arrived)
    assert caught(build)[1] == "order"


def test_poison_that_is_replayed_for_ever_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatcher_file, "FATAL_DEATHS", 10**9)
    assert caught(quarantined(SeesTheLivingOnly))[1] == "poison"


def test_a_refusal_of_the_innocent_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatcher_file, "FATAL_DEATHS", 1)
    assert caught(build)[1] == "right end"


def test_the_command_ends_with_one_and_shows_the_seed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(dispatcher_file, "FATAL_DEATHS", 1)
    monkeypatch.setattr("sys.argv", ["simulation", "--seeds", str(SEEDS)])
    assert main() == 1
    said = capsys.readouterr().out
    assert "right end" in said
    assert "again: python -m tests.simulation --first" in said
    assert "died while busy" in said
