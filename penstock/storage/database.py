"""The database, opened when it is first used; for threads and commands, never for the event loop.

Importing this file imports no SQLAlchemy.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from penstock.core.errors import ConfigError, PenstockError, Unavailable
from penstock.storage.place import NONE, place_of

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine


class Database:
    """One database with its tables. `url`: see `StateSettings.url`; a relative file starts at `base`.

    Raises `ConfigError` for a URL that names none.
    """

    def __init__(self, url: str = "", base: Path | None = None):
        if url == NONE:
            raise ConfigError('state.url is "none": nothing is kept there; name a database, or leave it out')
        self._place = place_of(url, base)
        self._lock = threading.Lock()
        self._engine: Engine | None = None

    def __repr__(self) -> str:
        return f"Database({self.shown!r})"

    @property
    def shown(self) -> str:
        """Where it is, for people; without a password."""
        return self._place.shown

    @property
    def empty(self) -> bool:
        """Whether it is surely empty: a file that is not there yet. Costs next to nothing."""
        try:
            return self._place.file is not None and not self._place.file.exists()
        except OSError:
            return False

    def engine(self) -> Engine:
        """The engine, with all tables in their present form; they are made or brought up to date once.

        Raises `ConfigError` when it is no database of ours, `Unavailable` when it does not answer, `MissingExtra`.
        """
        with self._lock:
            if self._engine is None:
                from penstock.storage.opening import opened

                with _told():
                    self._engine = opened(self._place)
            return self._engine

    @contextmanager
    def reading(self, *, hurries: bool = False) -> Iterator[Connection]:
        """A connection to read with. Raises as `engine`, also for what goes wrong while it is used, and where it
        `hurries` for locks that somebody holds for seconds."""
        from penstock.storage.opening import HURRIES

        engine = self.engine().execution_options(**{HURRIES: hurries})
        with _told(), engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self, *, hurries: bool = False) -> Iterator[Connection]:
        """A transaction that writes, committed at its end, rolled back by an exception. Writers wait for each other at
        its beginning, so what is read in it cannot change under it. Raises as `reading`."""
        from penstock.storage.opening import HURRIES, WRITES

        engine = self.engine().execution_options(**{WRITES: True, HURRIES: hurries})
        with _told(), engine.begin() as connection:
            yield connection

    def close(self) -> None:
        """Closes the connections; used again, it opens again."""
        with self._lock:
            if self._engine is not None:
                self._engine.dispose()
            self._engine = None


@contextmanager
def _told() -> Iterator[None]:
    """Raises a database's errors as our own; what it said itself is for the log."""
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except PenstockError:
        raise
    except SQLAlchemyError as error:
        cause = getattr(error, "orig", None) or error
        raise Unavailable(
            "the database does not answer, or refuses; the server's log says why", detail=str(cause).strip()
        ) from error
