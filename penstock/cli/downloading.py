"""A model of the hub, downloaded with its progress shown."""

from __future__ import annotations

import sys
from typing import Any

from penstock.repository import library
from penstock.repository.hub.messages import Progress
from penstock.runtimes.generation.memory import in_words


def pull(source: str, name: str | None = None) -> library.Entry:
    """Pulls a model; how far it is goes to standard error. Raises `SetupError` as `library.pull` does.

    Interrupted, it keeps what it has, says so, and raises `KeyboardInterrupt`.
    """
    shown: Shown = Bar() if sys.stderr.isatty() else Lines()
    try:
        return library.pull(source, name, shown.say)
    except KeyboardInterrupt:
        shown.close()
        print(f"stopped; penstock pull {source} goes on where it stopped", file=sys.stderr)
        raise
    finally:
        shown.close()


class Lines:
    """For files and pipes: a line per file."""

    def __init__(self) -> None:
        self._file = ""

    def say(self, progress: Progress) -> None:
        """How far it is."""
        if progress.file != self._file:
            self._file = progress.file
            print(f"pulling {progress.file} ({in_words(progress.total)} in all)", file=sys.stderr, flush=True)

    def close(self) -> None:
        """The end."""


class Bar(Lines):
    """For terminals: a bar, the speed, and the time that is left."""

    def __init__(self) -> None:
        super().__init__()
        self._bar: Any = None
        self._task: Any = None

    def say(self, progress: Progress) -> None:
        """How far it is."""
        if self._bar is None:
            self._start(progress)
        self._bar.update(self._task, description=progress.file, completed=progress.completed, total=progress.total)

    def _start(self, progress: Progress) -> None:
        from rich import progress as rich
        from rich.console import Console

        columns = (rich.DownloadColumn(binary_units=True), rich.TransferSpeedColumn(), rich.TimeRemainingColumn())
        text = rich.TextColumn("{task.description}", markup=False)
        self._bar = rich.Progress(text, rich.BarColumn(), *columns, console=Console(stderr=True))
        self._task = self._bar.add_task(progress.file, total=progress.total, completed=progress.completed)
        self._bar.start()

    def close(self) -> None:
        """The end: the bar stays as it is."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


Shown = Lines
