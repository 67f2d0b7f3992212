"""Keeps the ledger small: old rows become sums by the hour, and the oldest go. Imports SQLAlchemy: for threads."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

from sqlalchemy import Connection, Table, and_, delete, func, insert, literal, not_, or_, select, text
from sqlalchemy.sql.elements import ColumnElement

from penstock.storage.contract import StateSettings
from penstock.storage.database import Database
from penstock.storage.tables import feedback, requests
from penstock.telemetry.ledger.days import DAY_S, floored
from penstock.telemetry.ledger.latest import scored
from penstock.telemetry.ledger.sums import ADDED, BY_HOUR, SAME

HOUR_S = 3600
CHUNK = 5_000
"""Rows that one transaction sums or removes: SQLite has one writer at a time, and the others wait for seconds only."""
PAUSE_S = 0.05
_LOCK = 0x70656E6C65646772
"""Of PostgreSQL: only one of several servers does this at a time."""


def tidy(database: Database, settings: StateSettings, now: float) -> None:
    """All steps, one after the other. Raises as `Database.writing`."""
    for _ in steps(database, settings, now):
        time.sleep(PAUSE_S)


def steps(database: Database, settings: StateSettings, now: float) -> Iterator[None]:
    """Sums rows older than `details_days` by the hour, except those that somebody scored; removes what is older than
    `retention_days`. Every step is one short transaction, so that other writers find their turn between two. Raises as
    `Database.writing`."""
    for table in (requests, feedback):
        while _remove(database, table, now - settings.retention_days * DAY_S):
            yield
    details, done = (now - settings.details_days * DAY_S) // DAY_S * DAY_S, -math.inf
    while (oldest := _oldest(database, done, details)) is not None:
        hour = oldest // HOUR_S * HOUR_S
        done = _last_of_chunk(database, oldest, hour + HOUR_S)
        if not _sum(database, hour, oldest, done):
            return
        yield


def _remove(database: Database, table: Table, before: float) -> bool:
    """Removes some of the oldest; whether there may be more."""
    old = select(table.c.number).where(table.c.at < before).order_by(table.c.at).limit(CHUNK)
    with database.writing() as connection:
        return connection.execute(delete(table).where(table.c.number.in_(old))).rowcount >= CHUNK


def _summable(*more: ColumnElement[bool]) -> list[ColumnElement[bool]]:
    """What is no sum of an hour yet, but for requests that somebody scored."""
    return [requests.c.why != BY_HOUR, not_(scored()), *more]


def _oldest(database: Database, after: float, before: float) -> float | None:
    """When the oldest row that is to be summed came, of those after a moment."""
    which = _summable(requests.c.at > after, requests.c.at < before)
    with database.reading() as connection:
        found: float | None = connection.scalar(select(requests.c.at).where(*which).order_by(requests.c.at).limit(1))
    return found


def _last_of_chunk(database: Database, start: float, end: float) -> float:
    """When the last row of the next chunk came, from `start` on and before `end`."""
    which = _summable(requests.c.at >= start, requests.c.at < end)
    with database.reading() as connection:
        found: float | None = connection.scalar(
            select(requests.c.at).where(*which).order_by(requests.c.at).offset(CHUNK - 1).limit(1)
        )
    return math.nextafter(end, start) if found is None else found


def _sum(database: Database, hour: float, start: float, last: float) -> bool:
    """Puts sums in the place of the rows from `start` to `last`, together with those that the hour has already; False
    when another server is at it."""
    with database.writing() as connection:
        if not _alone(connection):
            return False
        newest = connection.scalar(select(func.max(requests.c.number)))
        rows = and_(*_summable(requests.c.at >= start, requests.c.at <= last))
        sums = and_(requests.c.why == BY_HOUR, requests.c.at == hour)
        span = requests.c.at.between(hour, last)
        _replace(connection, [span, or_(rows, sums), requests.c.number <= newest])
    return True


def _replace(connection: Connection, which: list[ColumnElement[bool]]) -> None:
    """Rows of one hour become its sums."""
    hour = floored(connection, requests.c.at, HOUR_S)
    same = [requests.c[name] for name in SAME]
    known = [requests.c.cost.is_(None), requests.c.premium.is_(None)]
    added = [func.sum(requests.c[name]) for name in (*ADDED, "cost", "premium", "count")]
    sums = select(literal(""), hour, literal(BY_HOUR), *same, *added).where(*which).group_by(hour, *same, *known)
    names = ["id", "at", "why", *SAME, *ADDED, "cost", "premium", "count"]
    connection.execute(insert(requests).from_select(names, sums))
    connection.execute(delete(requests).where(*which))


def _alone(connection: Connection) -> bool:
    if connection.dialect.name != "postgresql":
        return True
    return bool(connection.scalar(text("SELECT pg_try_advisory_xact_lock(:lock)"), {"lock": _LOCK}))
