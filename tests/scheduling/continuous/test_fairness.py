"""Two tenants with more to do than there is room: whatever their requests claim, they get the same tokens."""

from __future__ import annotations

import random
from collections import Counter, deque

import pytest

from penstock.core.generation import Event, Generation
from penstock.core.reply import Outcome
from penstock.scheduling.continuous.job import Job
from penstock.scheduling.continuous.line import FairLine
from penstock.scheduling.work import Phase

SLOTS = 16
PROMPT = 5


def ignored(job: Job, what: Event | Outcome) -> None:
    return


class Race:
    """An engine with some slots, always full: everybody gets a token in turn, and an end frees a slot for who is next.

    `sizes`: tokens that each tenant's requests claim; `real`: those they take, of which the first PROMPT at once.
    """

    def __init__(self, sizes: dict[str, int], real: int):
        self.line = FairLine(10**6, 10**12)
        self.sizes = sizes
        self.real = real
        self.got: Counter[Job] = Counter()
        self.given: Counter[str] = Counter()
        self.running: deque[Job] = deque()
        self.here: list[str] = []

    def join(self, tenant: str) -> None:
        self.here.append(tenant)
        for _ in range(50):
            self._push(tenant)

    def run(self, tokens: int) -> None:
        for _ in range(tokens):
            while len(self.running) < SLOTS:
                self._start()
            job = self.running.popleft()
            self.got[job] += PROMPT if job not in self.got else 1
            self.line.charge(job, self.got[job])
            self.given[job.tenant] += PROMPT if self.got[job] == PROMPT else 1
            if self.got[job] < self.real:
                self.running.append(job)
            else:
                self.line.settle(job, self.got.pop(job))

    def _push(self, tenant: str) -> None:
        size = self.sizes[tenant]
        self.line.push(Job(Generation(prompt="p"), ignored, ignored, size=size, prompt=PROMPT, tenant=tenant))

    def _start(self) -> None:
        head = self.line.head()
        assert head is not None
        self.line.take(head)
        head.phase = Phase.RUNNING
        self.running.append(head)
        self._push(head.tenant)


@pytest.mark.parametrize("claimed", [10, 20, 30, 532, 8_000, 32_000])
def test_whoever_comes_later_has_his_share_at_once(claimed: int) -> None:
    race = Race({"a": claimed, "b": claimed}, real=20)
    race.join("a")
    race.run(20_000)
    race.join("b")
    race.given.clear()
    race.run(4_000)
    assert abs(race.given["a"] - race.given["b"]) <= 2 * SLOTS * race.real


@pytest.mark.parametrize("claims", [(8_000, 20), (20, 8_000), (532, 32_000)])
def test_claiming_much_gains_nothing(claims: tuple[int, int]) -> None:
    race = Race({"a": claims[0], "b": claims[1]}, real=20)
    race.join("a")
    race.join("b")
    race.run(20_000)
    assert abs(race.given["a"] - race.given["b"]) <= SLOTS * race.real


@pytest.mark.parametrize("seed", range(20))
def test_random_claims_and_answers_even_out(seed: int) -> None:
    rng = random.Random(seed)
    race = Race({"a": rng.randint(10, 5_000), "b": rng.randint(10, 5_000), "c": rng.randint(10, 5_000)}, real=20)
    for tenant in "abc":
        race.join(tenant)
        race.run(rng.randint(1, 500))
    race.given.clear()
    race.run(6_000)
    assert max(race.given.values()) - min(race.given.values()) <= 3 * SLOTS * race.real


def test_a_tenant_that_rests_has_saved_up_nothing_and_owes_nothing_for_ever() -> None:
    line = FairLine(100, 10**6)
    for tenant in "ab":
        job = Job(Generation(prompt="p"), ignored, ignored, size=10, tenant=tenant)
        line.push(job)
        line.take(job)
        job.phase = Phase.RUNNING
        line.settle(job, 1000)
    third = Job(Generation(prompt="p"), ignored, ignored, size=10, tenant="c")
    line.push(third)
    assert line.head() is third
