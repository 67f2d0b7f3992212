"""Keeps the ledger small: old rows become sums by the hour, and the oldest go. Imports SQLAlchemy: for threads."""

from __future__ import annotations

from sqlalchemy import Connection, delete, exists, func, insert, literal, select, text
from sqlalchemy.sql.elements import ColumnElement

from penstock.storage.contract import StateSettings
from penstock.storage.database import Database
from penstock.storage.tables import feedback, requests
from penstock.telemetry.ledger.days import DAY_S, floored
from penstock.telemetry.ledger.sums import ADDED, BY_HOUR, SAME

_LOCK = 0x70656E6C65646772
"""Of PostgreSQL: only one of several servers does this at a time."""


def tidy(database: Database, settings: StateSettings, now: float) -> None:
    """Sums rows older than `details_days`, a day at a time, except those that somebody scored; removes what is older
    than `retention_days`. Raises as `Database.writing`."""
    _remove(database, now - settings.retention_days * DAY_S)
    details = (now - settings.details_days * DAY_S) // DAY_S * DAY_S
    while (oldest := _oldest(database, details)) is not None:
        start = oldest // DAY_S * DAY_S
        if not _sum_day(database, start, start + DAY_S):
            return


def _remove(database: Database, before: float) -> None:
    with database.writing() as connection:
        connection.execute(delete(requests).where(requests.c.at < before))
        connection.execute(delete(feedback).where(feedback.c.at < before))


def _summable(*more: ColumnElement[bool]) -> list[ColumnElement[bool]]:
    """What is no sum of an hour yet, but for requests that somebody scored."""
    scored = exists().where(feedback.c.request == requests.c.id, feedback.c.tenant == requests.c.tenant)
    return [requests.c.why != BY_HOUR, ~scored, *more]


def _oldest(database: Database, before: float) -> float | None:
    with database.reading() as connection:
        found: float | None = connection.scalar(
            select(func.min(requests.c.at)).where(*_summable(requests.c.at < before))
        )
    return found


def _sum_day(database: Database, start: float, end: float) -> bool:
    """Puts hourly sums in the place of a day's rows; False when another server is at it."""
    with database.writing() as connection:
        if not _alone(connection):
            return False
        last = connection.scalar(select(func.max(requests.c.number)))
        which = _summable(requests.c.at >= start, requests.c.at < end, requests.c.number <= last)
        hour = floored(connection, requests.c.at, 3600)
        same = [requests.c[name] for name in SAME]
        known = [requests.c.cost.is_(None), requests.c.premium.is_(None)]
        added = [func.sum(requests.c[name]) for name in (*ADDED, "cost", "premium", "count")]
        sums = select(literal(""), hour, literal(BY_HOUR), *same, *added).where(*which).group_by(hour, *same, *known)
        names = ["id", "at", "why", *SAME, *ADDED, "cost", "premium", "count"]
        connection.execute(insert(requests).from_select(names, sums))
        connection.execute(delete(requests).where(*which))
    return True


def _alone(connection: Connection) -> bool:
    if connection.dialect.name != "postgresql":
        return True
    return bool(connection.scalar(text("SELECT pg_try_advisory_xact_lock(:lock)"), {"lock": _LOCK}))
