"""A database that is away: nothing that costs is lost, and the log says so once."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from penstock.core.ledger import Feedback
from penstock.storage.contract import StateSettings
from penstock.storage.database import Database
from penstock.telemetry.ledger import pending
from penstock.telemetry.ledger import writer as writing
from penstock.telemetry.ledger.writer import LedgerWriter
from tests.services import running_postgres
from tests.telemetry.ledger.conftest import NOW, entry, kept


async def _until(condition: Any, seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        await asyncio.sleep(0.05)


def test_postgres_goes_and_comes_back(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(writing, "AWAY_S", (0.2, 0.5))
    with running_postgres() as service:
        database = Database(service.new())

        async def live() -> None:
            writer = LedgerWriter(database, StateSettings())
            writer.record(entry("before"))
            await _until(lambda: writer.written == 1)
            service.stop()
            for number in range(20):
                writer.record(entry(f"away{number}"))
            writer.feedback(Feedback("before", "acme", NOW, 1.0))
            await _until(lambda: not writer.up)
            assert writer.waiting >= 21
            service.start()
            await _until(lambda: writer.up and not writer.waiting)
            await writer.stop()

        asyncio.run(live())
        assert kept(database, "SELECT count(*) FROM penstock_requests") == [(21,)]
        assert kept(database, "SELECT count(*) FROM penstock_feedback") == [(1,)]
        database.close()
    said = capsys.readouterr().err
    assert said.count("ledger_away") == 1
    assert said.count("ledger_back") == 1


def test_a_backlog_that_is_full_is_summed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pending, "ROWS", 100)
    monkeypatch.setattr(writing, "AWAY_S", (0.1, 0.2))
    folder = tmp_path / "gone"
    folder.write_text("a file where the folder should be")
    database = Database(f"sqlite:///{folder / 'penstock.db'}")

    async def live() -> None:
        writer = LedgerWriter(database, StateSettings(rows_per_minute=1_000_000))
        for number in range(1000):
            writer.record(entry(f"r{number}"))
        await _until(lambda: not writer.up)
        assert writer.waiting <= 200
        folder.unlink()
        await writer.stop()

    asyncio.run(live())
    assert kept(database, "SELECT count(*), sum(count) FROM penstock_requests") == [(101, 1000)]
    assert kept(database, "SELECT sum(cost) FROM penstock_requests")[0][0] == pytest.approx(1.0)
    database.close()


def test_what_cannot_be_written_before_the_end_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "gone"
    folder.write_text("a file where the folder should be")

    async def live() -> None:
        writer = LedgerWriter(Database(f"sqlite:///{folder / 'penstock.db'}"), StateSettings())
        writer.record(entry())
        await writer.stop()

    asyncio.run(live())
    assert "ledger_lost" in capsys.readouterr().err


def test_a_disk_that_is_full_and_then_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sqlalchemy import event

    monkeypatch.setattr(writing, "AWAY_S", (0.1, 0.2))
    database = Database(f"sqlite:///{tmp_path / 'penstock.db'}")
    pages = [60]

    def limit(connection: Any, *_: Any) -> None:
        connection.execute(f"PRAGMA max_page_count={pages[0]}")

    async def live() -> None:
        writer = LedgerWriter(database, StateSettings(rows_per_minute=1_000_000))
        event.listen(await asyncio.to_thread(database.engine), "checkout", limit)
        for number in range(3000):
            writer.record(entry(f"r{number}"))
        await _until(lambda: not writer.up)
        assert 0 < writer.waiting <= 3000
        pages[0] = 1_000_000
        await _until(lambda: writer.up and not writer.waiting)
        await writer.stop()

    asyncio.run(live())
    assert kept(database, "SELECT count(*), sum(count) FROM penstock_requests") == [(3000, 3000)]
    database.close()
