"""Where a database lies, by its URL; nothing is opened."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from penstock.core.errors import ConfigError

FILE = "penstock.db"
NONE = "none"
_SQLITE, _POSTGRES = "sqlite:///", ("postgresql://", "postgres://")


class Place(NamedTuple):
    """A database: `file` of SQLite, or the `url` of PostgreSQL as SQLAlchemy takes it; `shown` carries no password."""

    file: Path | None
    url: str
    shown: str


def default_file() -> Path:
    """penstock.db in $PENSTOCK_HOME, else in penstock in the person's folder for state. Raises `ConfigError` for
    somebody without a folder."""
    home = os.environ.get("PENSTOCK_HOME")
    if home:
        return Path(home) / FILE
    state = os.environ.get("XDG_STATE_HOME")
    try:
        return (Path(state) if state else Path.home() / ".local" / "state") / "penstock" / FILE
    except RuntimeError:
        raise ConfigError(
            'this account has no folder to keep state in: set PENSTOCK_HOME, or state.url ("none" keeps nothing)'
        ) from None


def place_of(url: str, base: Path | None = None) -> Place:
    """The place that a URL names; a relative file starts at `base` (default: the working folder).

    Raises `ConfigError` for what is no such URL, without repeating it: it may hold a password.
    """
    if not url:
        return _of_file(default_file())
    if url.startswith(_SQLITE):
        name = url.removeprefix(_SQLITE)
        if name in ("", ":memory:") or "?" in name:
            raise ConfigError('state.url: SQLite needs a file, such as sqlite:///penstock.db; "none" keeps nothing')
        return _of_file((base or Path.cwd()) / name)
    if url.startswith(_POSTGRES):
        return Place(None, "postgresql+psycopg://" + url.partition("://")[2], _without_password(url))
    raise ConfigError('state.url takes sqlite:///PATH, postgresql://USER@HOST/NAME or "none"')


def _of_file(file: Path) -> Place:
    return Place(file, "", str(file))


def _without_password(url: str) -> str:
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        raise ConfigError("state.url: the address or port of the PostgreSQL server is no such thing") from None
    return f"postgresql://{parts.hostname or ''}{port}{parts.path}"
