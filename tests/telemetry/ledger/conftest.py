"""A new database of each kind, and a ledger on it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from penstock.core.ledger import Entry, Feedback
from penstock.storage.contract import StateSettings
from penstock.storage.database import Database
from penstock.telemetry.ledger.writer import LedgerWriter

Keep = Callable[..., None]
NOW = 1_800_000_000.0
"""A moment in January 2027, at 08:00:00 UTC."""


def entry(id: str = "r1", **changes: Any) -> Entry:
    """A request to a route, answered by its small model."""
    values: dict[str, Any] = {
        "id": id, "at": NOW, "tenant": "acme", "key": "k1", "name": "chat", "route": "chat", "model": "small",
        "version": "1", "why": "easy", "tries": 1, "status": 200, "code": "", "cache": "", "degraded": "", "rows": 1,
        "prompt_tokens": 100, "cached_tokens": 10, "completion_tokens": 50, "queue_s": 0.1, "first_s": 0.2,
        "total_s": 0.5, "busy_s": 0.4, "cost": 0.001, "premium": 0.01,
    }  # fmt: skip
    return Entry(**values | changes)


def prediction(id: str = "p1", **changes: Any) -> Entry:
    """A request to a model, without route or tokens."""
    plain = {"name": "iris", "route": "", "model": "iris", "prompt_tokens": 0, "cached_tokens": 0, "premium": None}
    return entry(id, **plain | {"completion_tokens": 0, "cost": None} | changes)


def kept(database: Database, question: str) -> list[tuple[Any, ...]]:
    """What the database answers."""
    from sqlalchemy import text

    with database.reading() as connection:
        return [tuple(row) for row in connection.execute(text(question))]


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty database of each kind."""
    sqlite = request.param == "sqlite"
    url = f"sqlite:///{tmp_path / 'penstock.db'}" if sqlite else request.getfixturevalue("postgres")
    made = Database(url)
    yield made
    made.close()


@pytest.fixture
def keep(database: Database) -> Keep:
    """Writes entries and feedback, and waits until they are in the database."""

    def _keep(*things: Entry | Feedback, settings: StateSettings | None = None) -> None:
        asyncio.run(write(database, things, settings or StateSettings()))

    return _keep


async def write(database: Database, things: Sequence[Entry | Feedback], settings: StateSettings) -> LedgerWriter:
    """One life of a ledger."""
    writer = LedgerWriter(database, settings)
    for thing in things:
        if isinstance(thing, Feedback):
            writer.feedback(thing)
        else:
            writer.record(thing)
    await writer.stop()
    return writer
