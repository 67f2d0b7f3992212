"""The simulation of language models: a few hundred seeds, its corners, and planted bugs that it must catch."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from penstock.core.errors import DeadlineExceeded, PenstockError
from penstock.core.generation import Text
from penstock.scheduling.continuous.flow import Flow, FlowDecisions, News
from penstock.scheduling.continuous.job import Job
from penstock.scheduling.continuous.line import FairLine
from penstock.scheduling.supervision import Replica
from penstock.scheduling.work import Phase
from tests.simulation.streams import Violation, play

SEEDS = 800
CORNERS = {
    "ended generated",
    "ended cancelled",
    "ended deadline_exceeded",
    "ended bad_input",
    "ended worker_lost",
    "ended request_refused",
    "refused overloaded",
    "refused too_large",
    "refused draining",
    "refused crash_looping",
    "crash",
    "hangs",
    "kill",
    "drain",
}


def test_no_rule_breaks_and_every_corner_is_reached() -> None:
    seen: Counter[str] = Counter()
    for seed in range(SEEDS):
        seen += play(seed).seen
    assert {corner for corner in CORNERS if seen[corner] < 3} == set()


@pytest.mark.parametrize("seed", [29, 81, 464, 5083])
def test_worlds_that_once_broke_a_rule(seed: int) -> None:
    assert list(play(seed).trace) == list(play(seed).trace)


class TextTwice(Flow):
    """A text is handed on twice."""

    def news(self, replica_id: int, id: int, what: News, now: float) -> None:
        super().news(replica_id, id, what, now)
        if isinstance(what, Text):
            super().news(replica_id, id, what, now)


class ReplaysBegun(Flow):
    """A job whose answer had begun runs again."""

    def _after_death(self, job: Job) -> None:
        job.began = False
        super()._after_death(job)


class NeverDrops(Flow):
    """Engines are not told what was given up."""

    def decide(self, now: float) -> FlowDecisions:
        decisions = super().decide(now)
        for replica_id in decisions.drop:
            self.workers[replica_id].sent -= 1
        decisions.drop = {}
        return decisions


class Crowds(Flow):
    """More answers at once than there are slots."""

    def _fits(self, replica: Replica, job: Job) -> bool:
        return self.workers[replica.id].proving is None


class ForgetsRunning(Flow):
    """What a dead worker ran is forgotten."""

    def _after_death(self, job: Job) -> None:
        self._suspects.remove(job)
        job.phase = Phase.RUNNING


class BlamesEverybody(Flow):
    """Everyone at a death is guilty."""

    def _blame(self, jobs: list[Job], gone: list[Job], now: float) -> None:
        for job in jobs:
            job.suspect, job.deaths = True, job.deaths + 2


class BlamesNobody(Flow):
    """A request may kill workers for ever."""

    def _blame(self, jobs: list[Job], gone: list[Job], now: float) -> None:
        for job in jobs:
            job.suspect = not job.began


class CountsTwice(FairLine):
    """Cancelled jobs are counted out twice."""

    def gone(self, job: Job) -> None:
        super().gone(job)
        self.waiting_tokens -= job.size


class Endless(FairLine):
    """The line has no bound."""

    def _check_room(self, job: Job) -> None:
        return


class NeverSettles(FairLine):
    """A tenant's running jobs never leave its account."""

    def settle(self, job: Job, tokens: int) -> None:
        return


class LosesTheOld(Flow):
    """Cancelling what runs frees nothing."""

    def cancel(self, job: Job, outcome: PenstockError) -> None:
        if job.phase is Phase.RUNNING:
            self._end(job, outcome)
            return
        super().cancel(job, outcome)


class RunsOn(Flow):
    """Deadlines end only what waits."""

    def cancel(self, job: Job, outcome: PenstockError) -> None:
        if not (isinstance(outcome, DeadlineExceeded) and job.phase is Phase.RUNNING):
            super().cancel(job, outcome)


class NeverRests(Flow):
    """A worker that has nothing to do is watched as if it had."""

    def alive(self, replica_id: int, heard: int, now: float) -> None:
        worker = self.workers[replica_id]
        worker.heard = heard
        self.supervisor.alive(replica_id, now)
        if worker.heard == worker.sent:
            worker.gone.clear()


class ForgetsTheGone(Flow):
    """What a dropped job did is laid on those who stayed."""

    def _drop(self, job: Job) -> None:
        super()._drop(job)
        self.workers[job.replica].gone.clear()


class CountsAtOnce(Flow):
    """Prompts that are only counted know no bound."""

    def _fits(self, replica: Replica, job: Job) -> bool:
        if job.places or self.workers[replica.id].proving is not None or job.suspect:
            return super()._fits(replica, job)
        return True


MUTANTS: list[tuple[dict[str, Any], set[str]]] = [
    ({"make": TextTwice}, {"order"}),
    ({"make": ReplaysBegun}, {"order"}),
    ({"make": NeverDrops}, {"freed"}),
    ({"make": Crowds}, {"slots", "room"}),
    ({"make": ForgetsRunning}, {"no starving"}),
    ({"make": BlamesEverybody}, {"innocent"}),
    ({"make": BlamesNobody}, {"poison", "no starving"}),
    ({"line": CountsTwice}, {"books", "bounds"}),
    ({"line": Endless}, {"bounds"}),
    ({"line": NeverSettles}, {"books"}),
    ({"make": RunsOn}, {"in time"}),
    ({"make": NeverRests}, {"healthy"}),
    ({"make": ForgetsTheGone}, {"innocent"}),
    ({"make": CountsAtOnce}, {"slots"}),
    ({"make": LosesTheOld}, {"freed", "books", "slots", "not started", "one end"}),
]


@pytest.mark.parametrize(("parts", "rules"), MUTANTS, ids=[next(iter(p.values())).__name__ for p, _ in MUTANTS])
def test_planted_bugs_are_caught(parts: dict[str, Any], rules: set[str]) -> None:
    with pytest.raises(Violation) as caught:
        first_violation(parts)
    assert caught.value.rule in rules, caught.value


def first_violation(parts: dict[str, Any]) -> None:
    for seed in range(3000):
        play(seed, **parts)
