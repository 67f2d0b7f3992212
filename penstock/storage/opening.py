"""Opens SQLite and PostgreSQL, each with the settings that suit a server."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, OperationalError

from penstock.core.errors import ConfigError, MissingExtra
from penstock.storage.migrations import prepare
from penstock.storage.place import Place

WRITES = "penstock_writes"
"""The execution option of transactions that write from their beginning."""
HURRIES = "penstock_hurries"
"""The execution option of transactions for which somebody must not wait long."""
BUSY_S = 5.0
"""How long one writer waits for another."""
SQLITE = ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=NORMAL", "PRAGMA foreign_keys=ON")
POSTGRES = {
    "connect_timeout": "5",
    "keepalives_idle": "30",
    "tcp_user_timeout": "15000",
    "application_name": "penstock",
}
"""So that a server that is gone is noticed in seconds; what the URL says goes first."""
HURRY = "SELECT set_config('lock_timeout', '2s', true), set_config('statement_timeout', '10s', true)"
"""For one transaction of PostgreSQL, which else waits for locks as long as they are held."""


def opened(place: Place) -> Engine:
    """An engine whose tables are ready. Raises as `Database.engine`, and SQLAlchemy's errors."""
    engine = _sqlite(place.file) if place.file is not None else _postgres(place.url)
    try:
        prepare(engine, WRITES)
    except BaseException:
        engine.dispose()
        raise
    return engine


def _sqlite(file: Path) -> Engine:
    _create(file)
    url = URL.create("sqlite+pysqlite", database=str(file))
    engine = create_engine(
        url, hide_parameters=True, connect_args={"timeout": BUSY_S, "isolation_level": None, "check_same_thread": False}
    )
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    try:
        with engine.connect():
            return engine
    except OperationalError:
        raise
    except DatabaseError:
        raise ConfigError(f"{file} is no SQLite database; name another file with state.url") from None


def _create(file: Path) -> None:
    """Makes the file, for its owner's eyes only; what SQLite puts beside it gets the same mode."""
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise ConfigError(
            f"the database {file} cannot be opened: {error.strerror}; name a file that you may write with state.url, "
            'or keep nothing with "none"'
        ) from error


def _configure(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    for pragma in SQLITE:
        cursor.execute(pragma)
    cursor.close()


def _begin(connection: Connection) -> None:
    """Begins every transaction for real, and those that write with the lock in hand."""
    writes = connection.get_execution_options().get(WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _postgres(url: str) -> Engine:
    if find_spec("psycopg") is None:
        raise MissingExtra("PostgreSQL needs the extra postgres: pip install 'penstock[postgres]'")
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ConfigError("state.url is no URL such as postgresql://USER@HOST/NAME") from None
    given = {name: value for name, value in POSTGRES.items() if name not in parsed.query}
    engine = create_engine(parsed, hide_parameters=True, pool_pre_ping=True, pool_timeout=10, connect_args=given)
    event.listen(engine, "begin", _hurry)
    return engine


def _hurry(connection: Connection) -> None:
    if connection.get_execution_options().get(HURRIES, False):
        connection.exec_driver_sql(HURRY)
