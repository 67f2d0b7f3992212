"""Brings a database's tables to their present form, one version after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import Column, Connection, Engine, Integer, MetaData, Table, insert, inspect, select, text, update

from penstock.core.errors import ConfigError
from penstock.storage.tables import metadata

Step = Callable[[Connection], None]


def _shadow(connection: Connection) -> None:
    """Shadow calls have a column of their own."""
    connection.execute(text("ALTER TABLE penstock_requests ADD COLUMN shadow BOOLEAN NOT NULL DEFAULT FALSE"))
    connection.execute(text("UPDATE penstock_requests SET shadow = TRUE WHERE why = 'shadow'"))


STEPS: tuple[Step, ...] = (_shadow,)
"""From version 1 to 2, from 2 to 3, and so on. A step stands for good: it never uses the tables' present form, which a
new database gets at once."""

_LOCK = 0x70656E73746F636B
"""Of PostgreSQL: two servers that start together make the tables once."""
_schema = Table("penstock_schema", MetaData(), Column("version", Integer, nullable=False))


def prepare(engine: Engine, writes: str, steps: Sequence[Step] = STEPS) -> None:
    """Makes the tables, or changes those of an older Penstock; all of it or nothing.

    `writes`: the execution option of transactions that write. Raises `ConfigError` for tables of a newer Penstock.
    """
    wanted = 1 + len(steps)
    with engine.connect() as connection:
        if _version(connection) == wanted:
            return
    with engine.execution_options(**{writes: True}).begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        _change(connection, _version(connection), steps)


def _change(connection: Connection, version: int | None, steps: Sequence[Step]) -> None:
    wanted = 1 + len(steps)
    if version is None:
        metadata.create_all(connection)
        _schema.create(connection)
        connection.execute(insert(_schema).values(version=wanted))
        return
    if version > wanted:
        raise ConfigError(
            "the database was made by a newer Penstock; upgrade this one, or name another database with state.url"
        )
    for step in steps[version - 1 :]:
        step(connection)
    connection.execute(update(_schema).values(version=wanted))


def _version(connection: Connection) -> int | None:
    """The version of the tables; None where there are none."""
    if not inspect(connection).has_table(_schema.name):
        return None
    version: int = connection.execute(select(_schema.c.version)).scalar_one()
    return version
