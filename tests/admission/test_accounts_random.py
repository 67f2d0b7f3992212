"""Random days of tenants, drawn from a seed: whatever happens, the books are right."""

from __future__ import annotations

import random
from collections import Counter, defaultdict

import pytest

from penstock.admission.settings import LimitSettings, TenantSettings
from penstock.core.errors import ModelFailed, Overloaded, PenstockError
from penstock.core.generation import Generated, Usage
from penstock.core.ledger import Entry
from penstock.core.reply import Reply
from tests.admission.accounting import Desk, question, rows


def some_limits(rng: random.Random, kind: type[LimitSettings] = LimitSettings) -> LimitSettings:
    """About half of the limits there are."""

    def maybe(low: float, high: float) -> float | None:
        return rng.uniform(low, high) if rng.random() < 0.5 else None

    return kind(
        requests_per_minute=maybe(1, 600),
        tokens_per_minute=maybe(100, 100_000),
        cost_per_minute=maybe(0.1, 100),
        burst_s=rng.uniform(1, 300),
        concurrency=rng.randint(1, 10) if rng.random() < 0.5 else None,
        budget_per_day=maybe(0.1, 100),
        budget_per_month=maybe(1, 1000),
    )


class Day:
    """Requests that come, end and are left at random, against a count of our own."""

    def __init__(self, seed: int):
        self.rng = rng = random.Random(seed)
        more = {"each_key": some_limits(rng), "models": {"chat": some_limits(rng)}, "weight": rng.uniform(0.1, 9)}
        own = {name: getattr(some_limits(rng), name) for name in LimitSettings.__struct_fields__}
        expect = rng.choice((None, lambda name, prompt, answer: (prompt + answer) / rng.choice((100, 1000, 10_000))))
        self.desk = Desk(expect=expect, a=TenantSettings(**own, **more), **{"*": some_limits(rng, TenantSettings)})  # type: ignore[arg-type]
        self.open: list[Reply] = []
        self.asked = 0
        self.ends: Counter[str] = Counter()

    def step(self) -> None:
        self.desk.pass_time(self.rng.expovariate(1 / self.rng.choice((0.01, 1.0, 60.0, 20_000.0))))
        if self.rng.random() < 0.6:
            self._ask()
        elif self.open:
            self._end(self.open.pop(self.rng.randrange(len(self.open))))

    def _ask(self) -> None:
        rng, who = self.rng, {"tenant": self.rng.choice("abc")}
        self.desk.downstream.error = rng.choice((None, None, None, None, Overloaded("full"), KeyError("bug")))
        request = (
            rows(3, **who) if rng.random() < 0.3 else question("x" * rng.randint(1, 5000), key=rng.choice("kl"), **who)
        )
        count = rng.choice((1, 1, 1, rng.randint(2, 5)))
        self.asked += count
        try:
            self.open += [self.desk.ask(request)] if count == 1 else self.desk.ask_all(*[request] * count)
        except (PenstockError, KeyError) as error:
            self.ends[getattr(error, "code", "internal")] += count

    def _end(self, reply: Reply) -> None:
        how = self.rng.choice(("answer", "answer", "fail", "leave", "hit"))
        usage = Usage(self.rng.randint(0, 3000), 0, self.rng.randint(0, 3000))
        if how == "fail":
            reply.settle(ModelFailed("no"))
        elif how == "leave":
            reply.close()
        else:
            reply.meta.cache = "hit" if how == "hit" else ""
            reply.settle(Generated(usage))
        reply.close()
        self.ends[self.desk.book.entries[-1].code] += 1

    def finish(self) -> None:
        while self.open:
            self._end(self.open.pop())


@pytest.mark.parametrize("seed", range(150))
def test_the_books_are_right_after_a_random_day(seed: int) -> None:
    day = Day(seed)
    for _ in range(300):
        day.step()
    day.finish()
    entries = day.desk.book.entries
    assert len(entries) == day.asked
    assert Counter(entry.code for entry in entries) == day.ends
    spent = sums(day, entries)
    for tenant in day.desk.accounts.limits.tenants.met():
        for allowance in tenant.all():
            assert allowance.running == 0
            for budget in allowance.budgets:
                budget.roll(day.desk.wall())
                assert budget.reserved == pytest.approx(0, abs=1e-9)
                assert budget.spent == pytest.approx(spent[tenant.name, allowance.scope, budget.period])


def sums(day: Day, entries: list[Entry]) -> dict[tuple[str, str, str], float]:
    """What each tenant, key and model spent in the present day and month."""
    found: dict[tuple[str, str, str], float] = defaultdict(float)
    for tenant in day.desk.accounts.limits.tenants.met():
        for allowance in tenant.all():
            for budget in allowance.budgets:
                budget.roll(day.desk.wall())
                of = [e for e in entries if e.tenant == tenant.name and e.at >= budget.span.begin]
                of = [e for e in of if allowance.scope in ("tenant", f"key/{e.key}", f"model/{e.name}")]
                found[tenant.name, allowance.scope, budget.period] = sum(e.cost or 0.0 for e in of)
    return found
