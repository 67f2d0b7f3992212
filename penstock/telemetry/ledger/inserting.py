"""Writes what waits into the database. Imports SQLAlchemy: for the ledger's thread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, delete, insert, select
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError, StatementError

from penstock.core.errors import Unavailable
from penstock.storage.database import Database
from penstock.storage.tables import feedback, requests
from penstock.telemetry.logs import logger

Row = Mapping[str, Any]
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
    for score in scores:
        _score(connection, score)


def _score(connection: Connection, score: Row) -> None:
    """The newest score of a request, tenant and source is the one that counts."""
    asked = select(requests.c.number).where(requests.c.id == score["request"], requests.c.tenant == score["tenant"])
    if connection.scalar(asked.limit(1)) is None:
        return
    same = [feedback.c[name] == score[name] for name in ("request", "tenant", "source")]
    connection.execute(delete(feedback).where(*same))
    connection.execute(insert(feedback), score)


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
