"""Old rows become sums by the hour that say the same; the oldest go."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from msgspec.structs import asdict
from sqlalchemy import insert

from penstock.admission.keys.store import KeyStore
from penstock.core.ledger import Feedback
from penstock.storage.contract import StateSettings
from penstock.storage.database import Database
from penstock.storage.tables import requests
from penstock.telemetry.ledger.costs import costs
from penstock.telemetry.ledger.tidying import steps, tidy
from penstock.telemetry.ledger.writer import LedgerWriter
from tests.telemetry.ledger.conftest import NOW, Keep, entry, kept, prediction

DAY = 86_400
SETTINGS = StateSettings(details_days=30, retention_days=400)


def test_old_rows_are_summed_and_say_the_same(keep: Keep, database: Database) -> None:
    keep(
        *(entry(f"r{number}", at=NOW + number * 60, cost=0.001 * number) for number in range(180)),
        *(prediction(f"p{number}", at=NOW + number) for number in range(20)),
        *(entry(f"f{number}", status=502, code="provider_failed", cost=0.0) for number in range(5)),
    )
    before = costs(database, "model", 0, NOW * 2)
    tidy(database, SETTINGS, NOW + 32 * DAY)
    after = costs(database, "model", 0, NOW * 2)
    assert kept(database, "SELECT count(*) FROM penstock_requests") == [(5,)]
    for old, new in zip([*before.rows, before.total], [*after.rows, after.total], strict=True):
        assert (old.name, old.requests, old.failed, old.priced) == (new.name, new.requests, new.failed, new.priced)
        assert old.cost == pytest.approx(new.cost)
        assert old.saved == pytest.approx(new.saved)
    tidy(database, SETTINGS, NOW + 32 * DAY)
    assert kept(database, "SELECT count(*) FROM penstock_requests") == [(5,)]


def test_sums_of_minutes_become_sums_of_hours(keep: Keep, database: Database) -> None:
    each = [prediction(f"p{number}", at=NOW + number) for number in range(0, 3600, 10)]
    keep(*each, settings=StateSettings(rows_per_minute=0))
    assert kept(database, "SELECT count(*), sum(count) FROM penstock_requests") == [(60, 360)]
    tidy(database, SETTINGS, NOW + 32 * DAY)
    assert kept(database, "SELECT at, count FROM penstock_requests") == [(NOW, 360)]


def test_rows_that_somebody_scored_stay(keep: Keep, database: Database) -> None:
    keep(entry("good"), entry("b"), entry("c"), Feedback("good", "acme", NOW, 0.5), Feedback("b", "other", NOW, 0.5))
    tidy(database, SETTINGS, NOW + 32 * DAY)
    assert sorted(kept(database, "SELECT id, count FROM penstock_requests")) == [("", 2), ("good", 1)]
    assert costs(database, "model", 0, NOW * 2).total.score == 0.5


def test_a_score_is_about_the_latest_of_an_id_that_repeats(keep: Keep, database: Database) -> None:
    keep(*(entry("same", at=NOW + number) for number in range(50)), entry("same", tenant="other"))
    keep(Feedback("same", "acme", NOW + 60, 0.5))
    found = costs(database, "tenant", 0, NOW * 2).total
    assert (found.score, found.scored) == (0.5, 1)
    tidy(database, SETTINGS, NOW + 32 * DAY)
    assert sorted(kept(database, "SELECT id, at, count FROM penstock_requests")) == [
        ("", NOW, 1),
        ("", NOW, 49),
        ("same", NOW + 49, 1),
    ]


def test_young_rows_stay_and_the_oldest_go(keep: Keep, database: Database) -> None:
    keep(entry("old", at=NOW - 401 * DAY), entry("young"), Feedback("old", "acme", NOW - 401 * DAY, 1.0))
    tidy(database, SETTINGS, NOW + 29 * DAY)
    assert kept(database, "SELECT id FROM penstock_requests") == [("young",)]
    assert kept(database, "SELECT count(*) FROM penstock_feedback") == [(0,)]


def test_keys_are_revoked_while_the_ledger_tidies(keep: Keep, database: Database) -> None:
    rows = [asdict(entry(f"r{number}", at=NOW + number % 7200)) for number in range(30_000)]
    with database.writing() as connection:
        connection.execute(insert(requests), rows)
    store = KeyStore(database)
    key, _ = store.create("acme")
    turns = 0
    for turns, _ in enumerate(steps(database, SETTINGS, NOW + 32 * DAY), 1):
        if turns == 2:
            store.revoke(key.id)  # in the middle: no transaction is open between two steps
    assert turns >= 6
    assert kept(database, "SELECT count(*), sum(count) FROM penstock_requests") == [(2, 30_000)]


def test_the_oldest_go_a_little_at_a_time(database: Database) -> None:
    with database.writing() as connection:
        connection.execute(insert(requests), [asdict(entry(f"r{number}")) for number in range(12_000)])
    assert len(list(steps(database, SETTINGS, NOW + 401 * DAY))) == 2
    assert kept(database, "SELECT count(*) FROM penstock_requests") == [(0,)]


def test_the_writer_tidies_between_two_writes(database: Database) -> None:
    old = time.time() - 40 * DAY

    async def life() -> None:
        writer = LedgerWriter(database, SETTINGS)
        with database.writing() as connection:
            connection.execute(insert(requests), [asdict(entry(f"r{n}", at=old + n)) for n in range(200)])
        writer.record(entry("new", at=time.time()))
        for _ in range(600):
            await asyncio.sleep(0.05)
            if kept(database, "SELECT count(*) FROM penstock_requests WHERE why = 'easy'") == [(1,)]:
                break
        await writer.stop()

    asyncio.run(life())
    assert kept(database, "SELECT sum(count) FROM penstock_requests") == [(201,)]
    assert kept(database, "SELECT id FROM penstock_requests WHERE why = 'easy'") == [("new",)]


def test_shadow_calls_stay_apart_in_sums(keep: Keep, database: Database) -> None:
    keep(entry("a"), entry("b", shadow=True), entry("c", shadow=True), settings=StateSettings(rows_per_minute=0))
    tidy(database, SETTINGS, NOW + 32 * DAY)
    found = "SELECT count(*) FROM penstock_requests WHERE {} shadow AND why = 'sum of an hour'"
    assert kept(database, "SELECT count FROM penstock_requests WHERE shadow") == [(2,)]
    assert kept(database, found.format("NOT")) == [(1,)]


def test_two_servers_tidy_at_once(keep: Keep, database: Database) -> None:
    keep(*(entry(f"r{number}", at=NOW + number % 7 * DAY) for number in range(500)))
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(tidy, database, SETTINGS, NOW + 50 * DAY) for _ in range(4)]:
            done.result()
    assert kept(database, "SELECT count(*), sum(count) FROM penstock_requests") == [(7, 500)]
