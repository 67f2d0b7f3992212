"""Writes what waits into the database. Imports SQLAlchemy: for the ledger's thread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError, StatementError

from penstock.core.errors import Unavailable
from penstock.storage.database import Database
from penstock.storage.tables import cleaned, feedback, requests
from penstock.telemetry.logs import logger

Row = Mapping[str, Any]
_WHICH = ("request", "tenant", "source")
_OLDER = delete(feedback).where(*(feedback.c[name] == bindparam(f"its_{name}") for name in _WHICH))
"""The newest score of a request, tenant and source is the one that counts."""
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
        connection.execute(insert(requests), rows)
    if scores and (known := _of_rows(connection, scores)):
        connection.execute(_OLDER, [{f"its_{name}": score[name] for name in _WHICH} for score in known])
        connection.execute(insert(feedback), known)


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
