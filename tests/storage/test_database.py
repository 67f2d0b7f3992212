"""Databases of both kinds: made, shared, damaged, away."""

from __future__ import annotations

import os
import sqlite3
import threading
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select, update

from penstock.core.errors import ConfigError, Unavailable
from penstock.core.ledger import Entry, Feedback
from penstock.storage import tables
from penstock.storage.database import Database
from tests.servers import together
from tests.services import running_postgres


def feedback(**changes: object) -> dict[str, object]:
    return {"request": "r", "tenant": "t", "at": 1.0, "score": 0.5, "source": "user", "comment": ""} | changes


def count(database: Database) -> int:
    with database.reading() as connection:
        return int(connection.execute(select(func.count()).select_from(tables.feedback)).scalar_one())


def test_what_is_written_is_there_for_another(database: Database, url: str) -> None:
    with database.writing() as connection:
        connection.execute(insert(tables.feedback), [feedback(request=f"r{i}") for i in range(100)])
    other = Database(url)
    assert count(other) == 100
    other.close()


def test_an_exception_undoes_all(database: Database) -> None:
    def half() -> None:
        with database.writing() as connection:
            connection.execute(insert(tables.feedback).values(feedback()))
            raise KeyError

    with pytest.raises(KeyError):
        half()
    assert count(database) == 0


def test_texts_from_outside_are_kept_as_far_as_they_can_be(database: Database) -> None:
    with database.writing() as connection:
        comments = [
            "gr\u00fc\u00df \U0001f600",
            "zero\0byte",
            "half \ud83d",
            "x" * 10_000,
            f"my key is pst-{'a' * 12}-{'A' * 43}!",
            "'; DROP TABLE penstock_feedback; --",
        ]
        connection.execute(insert(tables.feedback), [feedback(comment=comment) for comment in comments])
    with database.reading() as connection:
        kept = list(connection.execute(select(tables.feedback.c.comment).order_by(tables.feedback.c.number)).scalars())
    assert kept == [
        "gr\u00fc\u00df \U0001f600",
        "zerobyte",
        "half ?",
        "x" * tables.LONG,
        f"my key is pst-{'a' * 12}-***!",
        "'; DROP TABLE penstock_feedback; --",
    ]


def test_the_ledgers_words_are_the_tables(database: Database) -> None:
    assert set(Entry.__struct_fields__) == set(tables.requests.c.keys()) - {"number", "count"}
    assert set(Feedback.__struct_fields__) == set(tables.feedback.c.keys()) - {"number"}
    row = {"id": "r", "at": 1.5, "tries": 1, "status": 200, "rows": 2**40, "prompt_tokens": 2**40, "cached_tokens": 0}
    row |= dict.fromkeys(("tenant", "key", "name", "route", "model", "version", "why", "code", "cache", "degraded"), "")
    row |= {"completion_tokens": 1, "cost": None, "premium": 0.1}
    row |= dict.fromkeys(("queue_s", "first_s", "total_s", "busy_s"), 0.1)
    with database.writing() as connection:
        connection.execute(insert(tables.requests), [row])
        assert connection.execute(select(tables.requests.c.rows)).scalar_one() == 2**40


def test_two_servers_that_start_together_make_the_tables_once(url: str) -> None:
    made = [Database(url) for _ in range(6)]
    together([database.engine for database in made])
    assert [count(database) for database in made] == [0] * 6
    for database in made:
        database.close()


def test_writers_wait_for_each_other_and_lose_nothing(url: str) -> None:
    """Each reads, then writes what it read plus one: without turns, some of it would be lost, or refused as locked."""
    made = [Database(url) for _ in range(4)]
    with made[0].writing() as connection:
        connection.execute(insert(tables.feedback).values(feedback(score=0)))

    def add(database: Database) -> None:
        for _ in range(10):
            with database.writing() as connection:
                seen = connection.execute(select(tables.feedback.c.score).with_for_update()).scalar_one()
                connection.execute(update(tables.feedback).values(score=seen + 1))

    together([lambda database=database: add(database) for database in made])  # type: ignore[misc]
    with made[0].reading() as connection:
        assert connection.execute(select(tables.feedback.c.score)).scalar_one() == 40
    for database in made:
        database.close()


def test_reading_goes_on_while_somebody_writes(database: Database, url: str) -> None:
    count(database)
    other, writes, done = Database(url), threading.Event(), threading.Event()

    def write() -> None:
        with other.writing() as connection:
            connection.execute(insert(tables.feedback).values(feedback()))
            writes.set()
            done.wait(20)

    thread = threading.Thread(target=write)
    thread.start()
    assert writes.wait(20)
    assert count(database) == 0
    done.set()
    thread.join()
    assert count(database) == 1
    other.close()


# --- SQLite


def test_the_file_is_for_its_owners_eyes(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        database = Database(f"sqlite:///{tmp_path}/state/penstock.db")
        with database.writing() as connection:
            connection.execute(insert(tables.feedback).values(feedback()))
        assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
        files = list((tmp_path / "state").iterdir())
        assert len(files) == 3
        assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
        database.close()
    finally:
        os.umask(old)


def test_a_file_that_is_no_database_is_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "penstock.db"
    file.write_bytes(b"name: my notes\n" * 100)
    with pytest.raises(ConfigError, match="is no SQLite database"):
        Database(f"sqlite:///{file}").engine()
    assert file.read_bytes() == b"name: my notes\n" * 100


def test_a_folder_that_cannot_be_written_says_what_would_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"File exists.*state\.url"):
        Database(f"sqlite:///{tmp_path}/file/penstock.db").engine()


def test_a_damaged_file_is_told_apart_from_one_that_is_away(database: Database, tmp_path: Path) -> None:
    count(database)
    file = tmp_path / "penstock.db"
    if not file.exists():
        pytest.skip("of SQLite")
    database.close()
    with sqlite3.connect(file) as connection:
        connection.execute("DROP TABLE penstock_feedback")
    connection.close()
    with pytest.raises(Unavailable, match="database") as failed:
        count(database)
    assert "no such table" in (failed.value.detail or "")
    assert "no such table" not in failed.value.message


# --- PostgreSQL


def test_a_database_that_goes_away_is_used_again_when_it_is_back() -> None:
    with running_postgres() as service:
        database = Database(service.new())
        assert count(database) == 0
        service.stop()
        with pytest.raises(Unavailable) as failed:
            count(database)
        assert "127.0.0.1" not in failed.value.message
        service.start()
        assert count(database) == 0
        database.close()


def test_a_database_that_was_away_from_the_beginning_is_found_later() -> None:
    with running_postgres() as service:
        database = Database(service.new())
        service.stop()
        with pytest.raises(Unavailable):
            database.engine()
        service.start()
        assert count(database) == 0
        database.close()


def test_errors_never_hold_what_was_written(database: Database) -> None:
    def twice() -> None:
        with database.writing() as connection:
            row = {"id": "same", "tenant": "t", "name": "", "digest": b"hidden-digest", "verbs": "", "created_at": 1.0}
            connection.execute(insert(tables.keys), [{**row, "revision": 1}] * 2)

    with pytest.raises(Unavailable) as failed:
        twice()
    told = f"{failed.value!r} {failed.value.detail} {failed.value.__cause__}"
    assert "hidden" not in told.replace("hidden due to hide_parameters", "")
