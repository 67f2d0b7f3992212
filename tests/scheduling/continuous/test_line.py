"""The line: fair between tenants, by priority within one, bounded in requests and tokens."""

from __future__ import annotations

from collections import Counter

import pytest

from penstock.core.errors import Overloaded, TooLarge
from penstock.core.generation import Event, Generation
from penstock.core.reply import Outcome
from penstock.scheduling.continuous.job import Job
from penstock.scheduling.continuous.line import FairLine
from penstock.scheduling.work import Phase


def ignored(job: Job, what: Event | Outcome) -> None:
    return


def job(tenant: str = "", *, size: int = 10, level: int = 1, at: float = 0.0) -> Job:
    made = Job(Generation(prompt=tenant), ignored, ignored, size=size, level=level, tenant=tenant)
    made.arrived = at
    return made


def drained(line: FairLine, count: int) -> list[Job]:
    """The next jobs; each is done as soon as it is taken."""
    taken = []
    for _ in range(count):
        head = line.head()
        assert head is not None
        line.take(head)
        head.phase = Phase.RUNNING
        line.settle(head, head.size)
        taken.append(head)
    return taken


def test_tenants_share_tokens_not_requests() -> None:
    line = FairLine(1000, 10**6)
    for _ in range(100):
        line.push(job("many small", size=10))
    for _ in range(100):
        line.push(job("few large", size=100))
    given: Counter[str] = Counter()
    for taken in drained(line, 110):
        given[taken.tenant] += taken.size
    assert abs(given["many small"] - given["few large"]) <= 100


def test_who_comes_late_does_not_wait_for_what_others_have_queued() -> None:
    line = FairLine(1000, 10**6)
    for _ in range(50):
        line.push(job("a"))
    drained(line, 20)
    line.push(job("b"))
    assert "b" in [taken.tenant for taken in drained(line, 2)]


def test_who_was_away_has_not_saved_up_a_share() -> None:
    line = FairLine(1000, 10**6)
    line.push(job("b"))
    drained(line, 1)
    for _ in range(50):
        line.push(job("a"))
    drained(line, 30)
    for _ in range(20):
        line.push(job("b"))
    tenants = [taken.tenant for taken in drained(line, 10)]
    assert 4 <= tenants.count("b") <= 6


def test_priorities_order_a_tenants_own_and_age() -> None:
    line = FairLine(10, 1000)
    low, high, old = job(level=2, at=1.0), job(level=0, at=1.5), job(level=2, at=-2.0)
    for each in (old, low, high):
        line.push(each)
    assert drained(line, 3) == [old, high, low]


def test_bounds() -> None:
    line = FairLine(2, 25)
    with pytest.raises(TooLarge):
        line.push(job(size=26))
    line.push(job())
    line.push(job())
    with pytest.raises(Overloaded, match="2 requests wait"):
        line.push(job(size=1))
    drained(line, 1)
    with pytest.raises(Overloaded, match="10 tokens wait"):
        line.push(job(size=16))
    line.push(job(size=15))


def test_ended_jobs_are_skipped_and_counted_out() -> None:
    line = FairLine(2, 100)
    first, second = job(), job()
    line.push(first)
    line.push(second)
    first.phase = Phase.ENDED
    line.gone(first)
    assert line.head() is second
    assert (line.live, line.waiting_tokens) == (1, 10)


def test_a_real_count_corrects_the_charge() -> None:
    line = FairLine(10, 10_000)
    for tenant in ("a", "b"):
        for _ in range(3):
            line.push(job(tenant, size=100))
    head = line.head()
    assert head is not None
    line.take(head)
    head.phase = Phase.RUNNING
    line.settle(head, 1)
    following = line.head()
    assert following is not None
    assert following.tenant != head.tenant
    line.take(following)
    following.phase = Phase.RUNNING
    assert line.head() is not None
    assert line.head().tenant == head.tenant  # type: ignore[union-attr]


def test_tenants_that_come_and_go_are_forgotten() -> None:
    line = FairLine(10, 1000)
    for number in range(10_000):
        line.push(job(f"t{number}"))
        drained(line, 1)
    assert len(line._tenants) < 5000


def test_what_was_cancelled_is_forgotten_before_its_turn() -> None:
    line = FairLine(10, 1000)
    line.push(job())
    for _ in range(5000):
        gone = job()
        line.push(gone)
        gone.phase = Phase.ENDED
        line.gone(gone)
    assert sum(len(held) for tenant in line._tenants.values() for held in tenant.levels.values()) < 200


def test_weights_say_how_tenants_share() -> None:
    line = FairLine(1000, 10**6)
    for _ in range(300):
        heavy = job("heavy")
        heavy.weight = 3.0
        line.push(heavy)
        line.push(job("light"))
    given = Counter(taken.tenant for taken in drained(line, 200))
    assert abs(given["heavy"] - 150) <= 2


def test_who_enters_at_once_counts_like_those_who_waited() -> None:
    """Nobody waits, so it need not either; its tenant is charged all the same."""
    line = FairLine(10, 1000)
    first = job("a", size=30)
    line.enter(first)
    assert len(line) == 0
    for name in ("a", "b"):
        line.push(job(name))
    assert drained(line, 1)[0].tenant == "b"
    line.settle(first, 30)
    with pytest.raises(TooLarge):
        line.enter(job("c", size=1001))
