"""Writes what waits into the database. Imports SQLAlchemy: for the ledger's thread."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Table, delete, insert, select, tuple_
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError, StatementError

from penstock.core.errors import Unavailable
from penstock.storage.database import Database
from penstock.storage.tables import Foreign, cleaned, feedback, requests
from penstock.telemetry.logs import logger

Row = Mapping[str, Any]
_WHICH = ("request", "tenant", "source")
log = logger("telemetry")


def write(database: Database, rows: Sequence[Row], scores: Sequence[Row]) -> None:
    """Writes all of it in one transaction, or nothing; what the database cannot hold is left out, and the log says so.
    Scores of requests that have no row are left out, too.

    Raises as `Database.writing`.
    """
    try:
        _write(database, rows, scores)
    except (Unavailable, OverflowError) as error:
        if not _unfit(error):
            raise
        _one_by_one(database, rows, scores)


def _write(database: Database, rows: Sequence[Row], scores: Sequence[Row]) -> None:
    with database.writing() as connection:
        _insert(connection, rows, scores)


def _insert(connection: Connection, rows: Sequence[Row], scores: Sequence[Row]) -> None:
    if rows:
        _put(connection, requests, rows)
    if scores and (known := _of_rows(connection, scores)):
        # The newest score of a request, tenant and source is the one that counts.
        older = tuple_(*(feedback.c[name] for name in _WHICH))
        which = [(cleaned(score["request"]), score["tenant"], score["source"]) for score in known]
        connection.execute(delete(feedback).where(older.in_(which)))
        _put(connection, feedback, known)


def _put(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Inserts rows of the same columns. SQLite's driver gives the interpreter away after every row of many, and gets it
    back some milliseconds later when the event loop is busy: there they go as the values of one statement."""
    if connection.dialect.name != "sqlite":
        connection.execute(insert(table), rows)
        return
    names = tuple(rows[0])
    foreign = {name for name in names if isinstance(table.c[name].type, Foreign)}
    for start in range(0, len(rows), most := max(1, _variables(connection) // len(names))):
        part = rows[start : start + most]
        values = [cleaned(row[name]) if name in foreign else row[name] for row in part for name in names]
        connection.exec_driver_sql(_statement(table.name, names, len(part)), tuple(values))


def _variables(connection: Connection) -> int:
    """Values that one statement may have: 999 in libraries before 3.32, 32,766 since."""
    driver: Any = connection.connection.driver_connection
    limit: int = driver.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER)
    return limit


@lru_cache(256)
def _statement(table: str, names: tuple[str, ...], rows: int) -> str:
    columns, marks = ", ".join(f'"{name}"' for name in names), ", ".join("?" * len(names))
    # Names of our own tables and columns; values are marks.
    return f'INSERT INTO "{table}" ({columns}) VALUES {", ".join([f"({marks})"] * rows)}'  # noqa: S608


def _of_rows(connection: Connection, scores: Sequence[Row]) -> list[Row]:
    """Those of requests that have a row."""
    asked = {cleaned(score["request"]) for score in scores}
    found = connection.execute(select(requests.c.id, requests.c.tenant).where(requests.c.id.in_(asked)).distinct())
    rows = {(row.id, row.tenant) for row in found}
    return [score for score in scores if (cleaned(score["request"]), score["tenant"]) in rows]


def _one_by_one(database: Database, rows: Sequence[Row], scores: Sequence[Row]) -> None:
    """The same, in one transaction with a way back to before every row."""
    with database.writing() as connection:
        for one in (*(([row], []) for row in rows), *(([], [score]) for score in scores)):
            try:
                with connection.begin_nested():
                    _insert(connection, *one)
            except (SQLAlchemyError, OverflowError) as error:
                if not _unfit(error):
                    raise
                log.error("ledger_row_left_out", reason=str(getattr(error, "orig", None) or error))


def _unfit(error: BaseException) -> bool:
    """Whether a value is to blame, and not the database."""
    cause = error.__cause__ if isinstance(error, Unavailable) else error
    return isinstance(cause, OverflowError | DataError | IntegrityError) or type(cause) is StatementError
