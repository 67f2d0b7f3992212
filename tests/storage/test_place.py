"""Where a database lies, by its URL and the environment."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from penstock.core.errors import ConfigError
from penstock.storage.database import Database
from penstock.storage.place import default_file, place_of


def test_the_default_is_in_the_persons_folder_for_state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PENSTOCK_HOME", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_file() == tmp_path / "penstock" / "penstock.db"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_file() == tmp_path / ".local" / "state" / "penstock" / "penstock.db"
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path / "home"))
    assert default_file() == tmp_path / "home" / "penstock.db"


def test_an_account_without_a_folder_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PENSTOCK_HOME", "XDG_STATE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 12_345_678)
    with pytest.raises(ConfigError, match="PENSTOCK_HOME"):
        default_file()


def test_what_cannot_be_looked_at_is_not_taken_for_empty(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/{'x' * 300}.db")
    assert not database.empty
    with pytest.raises(ConfigError, match="File name too long"):
        database.engine()


def test_a_relative_file_starts_at_the_base(tmp_path: Path) -> None:
    assert place_of("sqlite:///a/b.db", tmp_path).file == tmp_path / "a" / "b.db"
    assert place_of("sqlite:////a/b.db", tmp_path).file == Path("/a/b.db")


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:///a.db?mode=memory",
        "penstock.db",
        "mysql://u:hidden@host/db",
        "postgresql://u:hidden@host:seven/db",
        "postgresql://u:hidden@[::1/db",
        "none",
    ],
)
def test_other_urls_are_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigError, match=r"state\.url") as refused:
        Database(url)
    assert "hidden" not in str(refused.value)


def test_what_is_shown_carries_no_password() -> None:
    made = Database("postgres://me:hidden@db.example:5433/costs?sslmode=require&password=hidden")
    assert made.shown == "postgresql://db.example:5433/costs"
    assert "hidden" not in repr(made)
    assert not made.empty


def test_importing_and_naming_a_database_opens_nothing(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = f"""
import sys
from penstock.storage.database import Database
from penstock.admission.keys.guard import KeyGuard
database = Database("sqlite:///{tmp_path}/penstock.db")
assert database.empty
assert "sqlalchemy" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert not list(tmp_path.iterdir())
