"""Budgets per day and month: by the calendar, and across restarts by what the ledger knows."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import insert

from penstock.admission.accounts import Accounts
from penstock.admission.limits.budget import Budget, span_of
from penstock.admission.limits.spent import Past, spent_before
from penstock.admission.limits.tenants import Spent
from penstock.admission.settings import LimitSettings, TenantSettings
from penstock.core.errors import BudgetSpent, PenstockError, QuotaExceeded
from penstock.core.generation import Usage
from penstock.core.ledger import Entry
from penstock.routing.names import Names
from penstock.storage.database import Database
from penstock.storage.tables import requests
from tests.admission.accounting import NOON, Desk, per_token, question
from tests.services import running_postgres

HOUR, DAY = 3600.0, 86_400.0
A_DOLLAR = TenantSettings(budget_per_day=1.0, budget_per_month=5.0)


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    on_disk = f"sqlite:///{tmp_path / 'penstock.db'}"
    made = Database(on_disk if request.param == "sqlite" else request.getfixturevalue("postgres"))
    yield made
    made.close()


def test_shadow_calls_count_towards_no_budget_after_a_restart(database: Database) -> None:
    write_down(database, entry(NOON, 0.25), msgspec.structs.replace(entry(NOON, 5.0), shadow=True))
    assert [found.day for found in spent_before(database, NOON + 1)] == [0.25]


def spend(desk: Desk, tokens: int) -> None:
    desk.end(desk.ask(), prompt=tokens, answer=0)


def write_down(database: Database, *entries: Entry) -> None:
    with database.writing() as connection:
        connection.execute(insert(requests), [msgspec.structs.asdict(entry) for entry in entries])


def entry(at: float, cost: float | None, tenant: str = "acme", key: str = "k1", name: str = "chat") -> Entry:
    zeros = dict.fromkeys(("rows", "prompt_tokens", "cached_tokens", "completion_tokens"), 0)
    times = dict.fromkeys(("queue_s", "first_s", "total_s", "busy_s"), 0.0)
    who = {"id": "r", "tenant": tenant, "key": key, "name": name, "route": "", "model": "small", "version": "1"}
    how = {"why": "", "tries": 1, "status": 200, "code": "", "cache": "", "degraded": ""}
    return Entry(at=at, cost=cost, premium=None, **who, **how, **zeros, **times)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("at", "day", "month"),
    [
        ("2026-01-01T00:00", "2026-01-02", "2026-02-01"),
        ("2026-02-28T23:59", "2026-03-01", "2026-03-01"),
        ("2028-02-28T12:00", "2028-02-29", "2028-03-01"),
        ("2026-12-31T12:00", "2027-01-01", "2027-01-01"),
    ],
)
def test_periods_are_those_of_the_calendar(at: str, day: str, month: str) -> None:
    moment = datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp()
    for period, end in (("day", day), ("month", month)):
        span = span_of(period, moment)  # type: ignore[arg-type]
        assert span.end == datetime.fromisoformat(end).replace(tzinfo=UTC).timestamp()
        assert span.begin <= moment < span.end


def test_what_is_spent_keeps_requests_out_until_the_next_day() -> None:
    desk = Desk(acme=A_DOLLAR)
    spend(desk, 1000)
    with pytest.raises(BudgetSpent) as refusal:
        desk.ask()
    assert refusal.value.retry_after_s == 12 * HOUR
    assert not refusal.value.may_retry
    assert "1 USD for this day is used up" in refusal.value.message
    assert "12 hours" in refusal.value.message
    desk.pass_time(12 * HOUR)
    desk.ask()


def test_the_month_holds_when_the_days_have_passed() -> None:
    desk = Desk(acme=A_DOLLAR)
    for _ in range(5):
        spend(desk, 1000)
        desk.pass_time(DAY)
    with pytest.raises(BudgetSpent, match="5 USD for this month"):
        desk.ask()


def test_what_is_under_way_counts_by_what_it_usually_costs() -> None:
    desk = Desk(acme=A_DOLLAR)
    for _ in range(4):
        spend(desk, 200)
    under_way = desk.ask()
    with pytest.raises(QuotaExceeded, match=r"0\.2 of 1 USD for this day are left") as refusal:
        desk.ask()
    assert (refusal.value.code, refusal.value.retry_after_s, refusal.value.may_retry) == ("quota_exceeded", 1, True)
    desk.end(under_way, prompt=1, answer=0)
    desk.ask()


def costs_by_size(name: str, prompt: float, answer: float) -> float:
    """What `per_token` takes."""
    return (prompt + answer) / 1000


def test_what_is_under_way_counts_before_anything_was_learned() -> None:
    desk = Desk(acme=TenantSettings(budget_per_day=1.0), expect=costs_by_size)
    under_way = [desk.ask(question("x" * 300, max_tokens=110)) for _ in range(4)]
    with pytest.raises(QuotaExceeded, match="besides those under way"):
        desk.ask(question("x" * 300, max_tokens=110))
    for reply in under_way:
        desk.end(reply, prompt=5, answer=5)
    desk.ask(question("x" * 300, max_tokens=110))


def test_what_is_left_goes_to_requests_that_it_pays_for() -> None:
    desk = Desk(acme=TenantSettings(budget_per_day=1.0), expect=costs_by_size)
    for _ in range(3):
        desk.end(desk.ask(question("x" * 600, max_tokens=110)), prompt=200, answer=100)
    desk.ask(question(max_tokens=1))
    with pytest.raises(BudgetSpent, match=r"0\.1 of 1 USD .* ask for less, or wait: the next day begins") as refusal:
        desk.ask(question("x" * 600, max_tokens=110))
    assert refusal.value.retry_after_s == 12 * HOUR, "the end of those under way would not help"
    desk.ask(question(max_tokens=1))


def test_what_is_expected_follows_the_size_of_a_request_and_how_others_differed_from_their_price() -> None:
    desk = Desk(acme=TenantSettings(budget_per_day=100.0), expect=costs_by_size)
    for _ in range(60):
        desk.end(desk.ask(question("x" * 10_000, max_tokens=200)), prompt=500, answer=40)
    budget = desk.accounts.limits.tenants.named("acme").all()[0].budgets[0]
    desk.ask(question("x" * 10_000, max_tokens=200))
    large, before = budget.reserved, budget.reserved
    desk.ask(question("x" * 100, max_tokens=5))
    small = budget.reserved - before
    assert large == pytest.approx(0.54, rel=0.2)
    assert small < large / 10


def test_what_one_tenant_asks_is_not_expected_of_another() -> None:
    dear = {"whale": 3.0, "small": 0.001}
    desk = Desk(
        lambda meta, request: dear[request.principal.tenant],
        whale=TenantSettings(budget_per_day=100.0),
        small=TenantSettings(budget_per_day=1.0),
    )
    desk.end(desk.ask(question(tenant="whale")))
    for _ in range(5):
        desk.end(desk.ask(question(tenant="small")))


def test_a_clock_that_was_ahead_does_not_block_a_budget_until_then() -> None:
    desk = Desk(acme=TenantSettings(budget_per_day=1.0))
    spend(desk, 300)
    desk.pass_time(40 * DAY)
    spend(desk, 300)
    desk.pass_time(-40 * DAY)
    spend(desk, 200)
    desk.pass_time(-0.5 * HOUR)
    with pytest.raises(BudgetSpent, match=r"0\.2 of 1 USD for this day are left"):
        desk.ask()
    desk.pass_time(DAY)
    spend(desk, 900)


def test_a_small_step_back_over_midnight_changes_nothing() -> None:
    budget = Budget("day", 1.0, NOON)
    budget.spend(0.5, NOON + 12 * HOUR + 1)
    budget.spend(0.2, NOON + 12 * HOUR - 5)
    assert (budget.spent, budget.span) == (pytest.approx(0.7), span_of("day", NOON + 12 * HOUR))


def test_the_budget_of_an_alias_and_of_a_version_is_kept_by_the_name_that_is_asked(database: Database) -> None:
    class Nobody:
        draining = False

    limits = TenantSettings(models={"best": LimitSettings(budget_per_day=0.5)})

    def desk() -> Desk:
        made = Desk(acme=limits)
        names = Names(made.downstream, Nobody(), {"best": "premium@2"})  # type: ignore[arg-type]
        made.accounts = Accounts(names, {"acme": limits}, per_token, made.book, made.clock, wall=made.wall)
        return made

    first = desk()
    first.end(first.ask(question(model="best")), prompt=600, answer=0)
    assert [(request.model, request.version) for request in first.downstream.requests] == [("premium", "2")]
    assert set(first.accounts.limits.tenants.named("acme").usual) == {"best"}, "and learned by it"
    assert first.book.entries[0].name == "best"
    write_down(database, *first.book.entries)
    later = desk()
    later.pass_time(1)
    asyncio.run(later.accounts.start(Past(database)))
    with pytest.raises(BudgetSpent, match="at 'best'"):
        later.ask(question(model="best"))


def test_what_never_was_answered_is_given_back() -> None:
    desk = Desk(acme=A_DOLLAR)
    spend(desk, 900)
    desk.pass_time(DAY)
    desk.ask().settle(PenstockError("no"))
    left = desk.ask()
    left.meta.usage = Usage()
    left.close()
    day, month = (quota for _, _, quota in desk.accounts.quotas())
    assert day.remaining == pytest.approx(1.0, abs=0.05)
    assert month.remaining == pytest.approx(4.1, abs=0.05)


def test_many_small_costs_add_up_to_nothing_left_under_way() -> None:
    desk = Desk(acme=TenantSettings(budget_per_day=1000))
    for tokens in range(1, 300):
        spend(desk, tokens)
    (_, _, quota), *_ = desk.accounts.quotas()
    assert quota.remaining == pytest.approx(1000 - sum(range(1, 300)) / 1000)


def test_a_budget_of_nothing_lets_nothing_in() -> None:
    with pytest.raises(BudgetSpent):
        Desk(acme=TenantSettings(budget_per_month=0)).ask()


def test_somebody_is_told_once_when_a_budget_is_nearly_and_when_it_is_spent(capsys: pytest.CaptureFixture[str]) -> None:
    desk = Desk(acme=TenantSettings(budget_per_day=1.0))
    for _ in range(8):
        spend(desk, 120)
    said = capsys.readouterr().err
    assert said.count("share=0.8") + said.count('"share": 0.8') == 1
    budget = Budget("day", 1.0, NOON)
    budget.spend(2.0, NOON)
    assert (budget.news(), budget.news()) == (1.0, 0.0)


def test_a_restart_forgets_nothing(database: Database) -> None:
    entries = [
        entry(NOON - HOUR, 0.6),
        entry(NOON - HOUR, 0.3, key="k2"),
        entry(NOON - HOUR, 9.0, tenant="other"),
        entry(NOON - DAY, 4.0),
        entry(NOON + 1, 4.0),
        entry(NOON - HOUR, None),
    ]
    write_down(database, *entries)
    desk = Desk(acme=A_DOLLAR)
    asyncio.run(desk.accounts.start(Past(database)))
    spend(desk, 100)
    with pytest.raises(BudgetSpent, match="this day"):
        desk.ask()
    assert {spent.tenant for spent in spent_before(database, NOON)} == {"acme", "other"}


def test_the_month_so_far_counts_after_a_restart(database: Database) -> None:
    write_down(database, entry(NOON + 3 * DAY, 2.0), entry(NOON + 4 * DAY, 3.5), entry(NOON - DAY, 100.0))
    desk = Desk(acme=A_DOLLAR)
    desk.pass_time(5 * DAY)
    asyncio.run(desk.accounts.start(Past(database)))
    with pytest.raises(BudgetSpent, match="this month"):
        desk.ask()


def test_each_key_and_model_has_its_own_past(database: Database) -> None:
    write_down(database, entry(NOON - 5, 0.9, key="k1", name="premium@2"), entry(NOON - 5, 0.2, key="k2", name="chat"))
    limit = LimitSettings(budget_per_day=0.5)
    desk = Desk(acme=TenantSettings(each_key=limit, models={"premium": limit}))
    asyncio.run(desk.accounts.start(Past(database)))
    with pytest.raises(BudgetSpent, match="key 'k1'"):
        desk.ask(question(key="k1"))
    desk.ask(question(key="k2"))
    with pytest.raises(BudgetSpent, match="at 'premium'"):
        desk.ask(question(key="k2", model="premium"))


def test_the_past_of_another_day_does_not_count_against_this_one() -> None:
    desk = Desk(acme=TenantSettings(each_key=LimitSettings(budget_per_day=1.0)))
    desk.accounts.limits.restore(Spent("acme", "k1", "chat", 5.0, 5.0, NOON))
    desk.pass_time(DAY)
    desk.ask()


def test_nothing_is_read_where_no_budget_is_set_and_nothing_is_made(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'none.db'}")
    asyncio.run(Desk(acme=A_DOLLAR).accounts.start(Past(database)))
    assert list(spent_before(database, NOON)) == []
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_is_away_at_the_start_is_asked_again(capsys: pytest.CaptureFixture[str]) -> None:
    with running_postgres() as service:
        url = service.new()
        database = Database(url)
        write_down(database, entry(NOON - HOUR, 2.0))
        database.close()
        service.stop()

        async def through() -> None:
            desk = Desk(acme=A_DOLLAR)
            await desk.accounts.start(Past(database, pause_s=0.05))
            desk.ask().settle({})
            await asyncio.to_thread(service.start)
            for _ in range(200):
                if desk.accounts.limits.tenants.named("acme").all()[0].budgets[0].spent:
                    break
                await asyncio.sleep(0.05)
            with pytest.raises(BudgetSpent):
                desk.ask()
            await desk.accounts.stop()

        asyncio.run(through())
        database.close()
    said = capsys.readouterr().err
    assert said.count("budgets_unknown") == 1
    assert said.count("budgets_known") == 1
