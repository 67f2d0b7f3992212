"""The ledger's thread: everything that is recorded is in the database, whatever the ids and texts, and soon."""

from __future__ import annotations

import asyncio
import math
import subprocess
import sys
import threading
import time
from pathlib import Path
from sqlite3 import SQLITE_LIMIT_VARIABLE_NUMBER
from typing import Any

import pytest
from msgspec.structs import asdict

from penstock.core.errors import Unavailable
from penstock.core.ledger import Feedback
from penstock.storage.contract import StateSettings
from penstock.storage.database import Database
from penstock.telemetry.ledger import inserting
from penstock.telemetry.ledger.writer import LedgerWriter
from tests.telemetry.ledger.conftest import NOW, Keep, entry, kept, prediction, write


def test_a_row_per_request(keep: Keep, database: Database) -> None:
    keep(entry("a"), entry("b", cost=None, route="", premium=None))
    assert kept(
        database, "SELECT id, tenant, model, prompt_tokens, cost, count FROM penstock_requests ORDER BY id"
    ) == [
        ("a", "acme", "small", 100, 0.001, 1),
        ("b", "acme", "small", 100, None, 1),
    ]


def test_rows_come_while_the_server_runs(database: Database) -> None:
    async def serve() -> None:
        writer = LedgerWriter(database, StateSettings())
        writer.record(entry())
        for _ in range(1200):
            await asyncio.sleep(0.05)
            if writer.written:
                break
        assert (writer.written, writer.waiting, writer.up) == (1, 0, True)
        writer.record(entry("r2"))
        await writer.stop()

    asyncio.run(serve())
    assert kept(database, "SELECT count(*) FROM penstock_requests") == [(2,)]


def test_rows_and_scores_come_while_the_load_never_pauses(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/penstock.db")

    async def serve() -> None:
        writer, over = LedgerWriter(database, StateSettings(rows_per_minute=10_000_000)), threading.Event()

        def load() -> None:
            while not over.is_set():
                for _ in range(200):
                    writer.record(prediction())
                time.sleep(0.0001)

        thread = threading.Thread(target=load)
        writer.record(entry("scored"))
        writer.feedback(Feedback("scored", "acme", NOW, 1.0))
        thread.start()
        try:
            for _ in range(600):
                await asyncio.sleep(0.05)
                if not database.empty and kept(database, "SELECT count(*) FROM penstock_feedback") == [(1,)]:
                    break
        finally:
            over.set()
            thread.join()
        assert writer.written > 0
        assert kept(database, "SELECT count(*) FROM penstock_feedback") == [(1,)]
        await writer.stop()

    asyncio.run(serve())


def test_ids_that_clients_choose_may_repeat(keep: Keep, database: Database) -> None:
    keep(entry("same"), entry("same", tenant="other"))
    assert kept(database, "SELECT count(*) FROM penstock_requests") == [(2,)]


def test_hostile_texts_harm_nobody_elses_rows(keep: Keep, database: Database) -> None:
    evil = "'; DROP TABLE penstock_requests; --"
    keep(entry(evil), entry("nul\0\ud800"), entry("long" * 1000, name="x" * 5000), entry("good"))
    found = dict(kept(database, "SELECT id, length(name) FROM penstock_requests"))
    assert {evil, "good"} <= found.keys()
    assert len(found) == 4
    assert max(found.values()) == 500


def test_what_no_database_holds_loses_only_its_own_row(keep: Keep, database: Database) -> None:
    keep(entry("a"), entry("b", rows=10**30), entry("c", model="zero\0"), entry("d"))
    found = {row[0] for row in kept(database, "SELECT id FROM penstock_requests")}
    assert {"a", "d"} <= found
    assert "b" not in found


def test_what_is_over_the_minutes_rows_is_summed(keep: Keep, database: Database) -> None:
    mine = [entry(f"r{number}", at=NOW + number / 100) for number in range(50)]
    others = [prediction(f"p{number}", at=NOW + 1, rows=3) for number in range(30)]
    keep(*mine, *others, settings=StateSettings(rows_per_minute=20))
    rows = "SELECT model, count, rows, cost, at FROM penstock_requests WHERE id = '' ORDER BY model"
    (iris, small) = kept(database, rows)
    assert iris == ("iris", 28, 84, None, NOW)
    assert small[:3] == ("small", 30, 30)
    assert small[3] == pytest.approx(0.03)
    assert kept(database, "SELECT sum(count) FROM penstock_requests") == [(80,)]


def test_sums_tell_apart_who_asked_and_how_it_went(keep: Keep, database: Database) -> None:
    kinds = [prediction(), prediction(tenant="b"), prediction(status=429, code="quota_exceeded"), prediction(cost=0.5)]
    keep(*kinds, *kinds, settings=StateSettings(rows_per_minute=0))
    found = kept(database, "SELECT tenant, status, cost, count FROM penstock_requests ORDER BY tenant, status, cost")
    assert sorted(found, key=repr) == sorted(
        [("acme", 200, None, 2), ("acme", 200, 1.0, 2), ("acme", 429, None, 2), ("b", 200, None, 2)], key=repr
    )


def test_names_that_clients_make_up_do_not_make_sums(keep: Keep, database: Database) -> None:
    unknown = [prediction(name=f"x{number}", model="", version="", status=404) for number in range(40)]
    keep(*unknown, settings=StateSettings(rows_per_minute=0))
    assert kept(database, "SELECT name, count FROM penstock_requests") == [("", 40)]


def test_the_newest_score_counts(keep: Keep, database: Database) -> None:
    scores = [Feedback("r1", "acme", NOW, score) for score in (0.0, 0.5, 1.0)]
    keep(entry(), *scores, Feedback("r1", "acme", NOW, 0.25, "shadow"), Feedback("r1", "evil", NOW, 0.0))
    found = kept(database, "SELECT tenant, source, score FROM penstock_feedback ORDER BY tenant, source")
    assert found == [("acme", "shadow", 0.25), ("acme", "user", 1.0)]


def test_scores_of_requests_that_nobody_made_are_not_kept(keep: Keep, database: Database) -> None:
    keep(*(Feedback(f"nobody-{number}", "acme", NOW, 0.0) for number in range(100)))
    keep(entry("r1"), Feedback("r1", "acme", NOW, 1.0))
    assert kept(database, "SELECT request, score FROM penstock_feedback") == [("r1", 1.0)]


def test_scores_wait_for_the_rows_of_their_requests(keep: Keep, database: Database) -> None:
    many = [entry(f"r{number}") for number in range(250)]
    keep(*(Feedback(one.id, "acme", NOW, 0.5) for one in many), *many)
    assert kept(database, "SELECT count(*) FROM penstock_feedback") == [(250,)]


def test_feedback_never_displaces_entries(tmp_path: object) -> None:
    writer = LedgerWriter(Database(f"sqlite:///{tmp_path}/penstock.db"), StateSettings())
    writer._thread = threading.current_thread()  # so that nobody takes anything away
    for number in range(250_000):
        writer.feedback(Feedback(f"r{number}", "acme", NOW, 0.5, "user", "y" * 4096))
    writer.record(entry())
    assert writer.lost == 245_000
    assert writer.waiting == 5_001
    assert all(len(score.comment) <= 1000 for _, score in writer._scores)


def test_one_tenant_leaves_rows_to_others(keep: Keep, database: Database) -> None:
    minutes = [entry(f"a{number}", at=NOW) for number in range(5)] + [entry("b", tenant="beta", at=NOW)]
    loud = [entry(f"c{number}", at=NOW + 60) for number in range(100)]
    quiet = [entry(f"d{number}", at=NOW + 61, tenant="beta") for number in range(10)]
    keep(*minutes, *loud, *quiet, settings=StateSettings(rows_per_minute=20))
    found = "SELECT tenant, count(*) FROM penstock_requests WHERE id <> '' AND at >= {} GROUP BY tenant ORDER BY tenant"
    assert kept(database, found.format(NOW + 60)) == [("acme", 10), ("beta", 10)]


class Breaks:
    """Ends a connection in the middle of a transaction: before the insert of a row with this id."""

    def __init__(self, database: Database, id: str):
        from sqlalchemy import event

        self.id, self.times = id, 1
        event.listen(database.engine(), "before_cursor_execute", self)

    def __call__(self, connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        from sqlalchemy.exc import OperationalError

        values = parameters.values() if isinstance(parameters, dict) else parameters
        if self.times and "INSERT" in statement and not many and self.id in values:
            self.times -= 1
            raise OperationalError(statement, None, Exception("the connection is gone"))


def _limit(driver: Any) -> None:
    driver.setlimit(SQLITE_LIMIT_VARIABLE_NUMBER, 999)


def test_an_old_sqlite_gets_its_rows_in_as_many_statements_as_it_needs(tmp_path: Path) -> None:
    """Before 3.32 a statement could have 999 values."""
    from sqlalchemy import event

    database = Database(f"sqlite:///{tmp_path}/penstock.db")
    event.listen(database.engine(), "begin", lambda one: _limit(one.connection.driver_connection))
    inserting.write(database, [asdict(entry(f"r{number}")) | {"count": 1} for number in range(100)], [])
    assert kept(database, "SELECT count(*), count(DISTINCT id) FROM penstock_requests") == [(100, 100)]


def test_many_rows_are_one_statement_for_sqlite(tmp_path: Path) -> None:
    """Its driver waits for the interpreter after every row of many: 5 ms each when the event loop is busy."""
    from sqlalchemy import event

    database, seen = Database(f"sqlite:///{tmp_path}/penstock.db"), []

    def saw(_: Any, __: Any, statement: str, ___: Any, ____: Any, many: bool) -> None:
        if statement.startswith(("INSERT", "DELETE")):
            seen.append((statement.partition(" (")[0].replace('"', ""), many))

    rows = [asdict(entry(f"r{number}")) | {"count": 1} for number in range(100)]
    scores = [asdict(Feedback(row["id"], "acme", NOW, 0.5)) for row in rows]
    event.listen(database.engine(), "before_cursor_execute", saw)
    inserting.write(database, rows, scores)
    inserts = [said for said in seen if said[0].startswith("INSERT INTO penstock_")]
    assert inserts == [("INSERT INTO penstock_requests", False), ("INSERT INTO penstock_feedback", False)]
    assert not any(many for _, many in seen)
    assert kept(database, "SELECT count(*) FROM penstock_feedback") == [(100,)]


def test_rows_are_written_once_where_the_connection_breaks_in_the_middle(database: Database) -> None:
    rows = [asdict(one) | {"count": 1} for one in (entry("a"), entry("b"), entry("c", rows=10**30), entry("d"))]
    broken = Breaks(database, "d")
    with pytest.raises(Unavailable):
        inserting.write(database, rows, [])
    assert not broken.times
    inserting.write(database, rows, [])
    assert kept(database, "SELECT id FROM penstock_requests ORDER BY id") == [("a",), ("b",), ("d",)]


def test_recording_is_cheap_and_bounded(tmp_path: object) -> None:
    writer = LedgerWriter(Database(f"sqlite:///{tmp_path}/penstock.db"), StateSettings())
    one = entry()
    writer._thread = threading.current_thread()  # so that nobody takes anything away
    began = time.perf_counter()
    for _ in range(250_000):
        writer.record(one)
    took = time.perf_counter() - began
    assert took / 250_000 < 30e-6
    assert writer.waiting == 3_001
    [summed] = writer._pending.take_sums(math.inf)
    assert summed["count"] == 247_000
    assert writer.lost == 0


def test_the_loop_hardly_waits_for_the_thread(tmp_path: object) -> None:
    async def late() -> float:
        writer = LedgerWriter(Database(f"sqlite:///{tmp_path}/penstock.db"), StateSettings())
        writer.record(entry())
        await asyncio.sleep(2)
        worst = 0.0
        for turn in range(100):
            for number in range(100):
                writer.record(prediction(f"{turn}-{number}"))
            began = time.perf_counter()
            await asyncio.sleep(0.01)
            worst = max(worst, time.perf_counter() - began - 0.01)
        await writer.stop()
        assert writer.written
        return worst

    assert asyncio.run(late()) < 1.0


LATE = """
import asyncio, sys
from penstock.storage.contract import StateSettings
from penstock.storage.database import Database
from penstock.telemetry.ledger.writer import LedgerWriter
from penstock.telemetry.prices.book import PriceBook

async def main():
    writer = LedgerWriter(Database("sqlite:///" + sys.argv[1]), StateSettings())
    assert "sqlalchemy" not in sys.modules
    await writer.stop()

asyncio.run(main())
assert "sqlalchemy" not in sys.modules and "yaml" not in sys.modules
"""


def test_a_server_that_nobody_asks_imports_no_database(tmp_path: object) -> None:
    subprocess.run([sys.executable, "-c", LATE, f"{tmp_path}/penstock.db"], check=True, timeout=60)


def test_a_ledger_is_stopped_twice(database: Database) -> None:
    async def twice() -> None:
        writer = await write(database, [entry()], StateSettings())
        await writer.stop()
        assert writer.written == 1

    asyncio.run(twice())
