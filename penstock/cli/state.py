"""The database that a command means: that of a YAML file, of the environment, or the person's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from penstock.core.errors import ConfigError, Unavailable
from penstock.storage.database import Database

FILE = Path("penstock.yaml")
ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", help="The server's YAML file (default: penstock.yaml, if there is one in this folder)."),
]
StateOption = Annotated[
    str | None,
    typer.Option("--state", help='The database: "sqlite:///PATH" or "postgresql://..." (default: the YAML file\'s).'),
]


def database_of(file: Path | None, url: str | None) -> Database:
    """The database of the server that a person means. Raises `ConfigError`."""
    from penstock.config.file import load, with_overrides

    overrides = {} if url is None else {"state.url": url}
    path = file or (FILE if FILE.is_file() else None)
    if path is None:
        return Database(with_overrides({}, overrides).state.url)
    base = Path.cwd() if url is not None else path.absolute().parent
    settings = load(path, overrides).state
    if settings.url == "none":
        raise ConfigError(f"{path.name} says state.url: none, so nothing is kept; name a database there")
    return Database(settings.url, base)


@contextmanager
def reached(file: Path | None, url: str | None) -> Iterator[Database]:
    """The database, closed at the end. What goes wrong names it and says why: there is no log to look into."""
    database = database_of(file, url)
    try:
        yield database
    except Unavailable as error:
        raise Unavailable(f"{database.shown}: {error.detail or error.message}") from error
    finally:
        database.close()
