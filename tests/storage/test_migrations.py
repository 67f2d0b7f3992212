"""Tables of an older Penstock become those of today, in whole or not at all."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection, insert, inspect, select, text

from penstock.core.errors import ConfigError
from penstock.storage import migrations, tables
from penstock.storage.database import Database
from penstock.storage.migrations import STEPS
from penstock.storage.opening import WRITES


def colour(connection: Connection) -> None:
    connection.execute(text("ALTER TABLE penstock_feedback ADD COLUMN colour TEXT"))


def shade(connection: Connection) -> None:
    connection.execute(text("UPDATE penstock_feedback SET colour = 'red'"))


def broken(connection: Connection) -> None:
    connection.execute(text("ALTER TABLE penstock_feedback ADD COLUMN taste TEXT"))
    raise KeyError("in the middle")


def filled(database: Database) -> None:
    row = {"request": "r", "tenant": "t", "at": 1.0, "score": 0.5, "source": "user", "comment": ""}
    with database.writing() as connection:
        connection.execute(insert(tables.feedback).values(row))


def test_steps_run_once_in_order_and_keep_what_is_there(database: Database) -> None:
    filled(database)
    for _ in range(2):
        migrations.prepare(database.engine(), WRITES, (*STEPS, colour, shade))
    with database.reading() as connection:
        assert connection.execute(text("SELECT score, colour FROM penstock_feedback")).one() == (0.5, "red")


def test_only_the_steps_that_are_missing_run(database: Database) -> None:
    filled(database)
    migrations.prepare(database.engine(), WRITES, (*STEPS, colour))
    migrations.prepare(database.engine(), WRITES, (*STEPS, broken, shade))
    with database.reading() as connection:
        assert connection.execute(text("SELECT colour FROM penstock_feedback")).scalar_one() == "red"


def test_a_step_that_fails_leaves_all_as_it_was(database: Database) -> None:
    filled(database)
    with pytest.raises(KeyError):
        migrations.prepare(database.engine(), WRITES, (*STEPS, colour, broken))
    with database.reading() as connection:
        columns = {column["name"] for column in inspect(connection).get_columns("penstock_feedback")}
        assert columns == set(tables.feedback.c.keys())
        assert connection.execute(select(tables.feedback.c.score)).scalar_one() == 0.5
    migrations.prepare(database.engine(), WRITES, (*STEPS, colour, shade))


def test_tables_of_a_newer_penstock_are_left_alone(database: Database, url: str) -> None:
    migrations.prepare(database.engine(), WRITES, (*STEPS, colour))
    with pytest.raises(ConfigError, match="newer Penstock"):
        Database(url).engine()


def test_shadow_calls_of_the_first_tables_are_told_apart(database: Database) -> None:
    with database.writing() as connection:
        for change in ("DROP COLUMN shadow", "ADD COLUMN spare INTEGER"):
            connection.execute(text(f"ALTER TABLE penstock_requests {change}"))
        connection.execute(text("UPDATE penstock_schema SET version = 1"))
        columns = [column["name"] for column in inspect(connection).get_columns("penstock_requests")][1:-1]
        values = {name: "'0'" if name != "why" else "'{}'" for name in columns}
        row = f"INSERT INTO penstock_requests ({', '.join(columns)}) VALUES ({', '.join(values.values())})"
        for why in ("easy", "shadow"):
            connection.execute(text(row.format(why)))
    migrations.prepare(database.engine(), WRITES)
    with database.reading() as connection:
        found = connection.execute(select(tables.requests.c.why, tables.requests.c.shadow)).all()
    assert sorted(found) == [("easy", False), ("shadow", True)]
