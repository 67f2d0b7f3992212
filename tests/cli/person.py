"""A person at a terminal: a command on a pseudo terminal, what it shows, and keys."""

from __future__ import annotations

import fcntl
import os
import re
import select
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

COMMAND = (sys.executable, "-m", "penstock.cli.main")
_STEERING = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")


def environment(home: Path, **more: str) -> dict[str, str]:
    """A person's environment, of their own home."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PENSTOCK_")}
    return {**kept, "PENSTOCK_HOME": str(home), "TERM": "xterm", "COLUMNS": "200", **more}


class Person:
    """Sees what a terminal shows, without what steers it."""

    def __init__(self, process: subprocess.Popen[bytes], terminal: int):
        self.process = process
        self.screen = ""
        self._terminal = terminal

    def sees(self, text: str, within_s: float = 30) -> str:
        """Waits until the text is shown, and takes everything up to its end."""
        until = time.monotonic() + within_s
        while text not in self.screen:
            assert time.monotonic() < until, f"{text!r} never came; the screen: {self.screen[-2000:]!r}"
            self._look()
        before, _, self.screen = self.screen.partition(text)
        return before + text

    def types(self, text: str) -> None:
        """Keys; "\\x03" is Ctrl-C, "\\x04" Ctrl-D."""
        os.write(self._terminal, text.encode())

    def waits(self, within_s: float = 30) -> int:
        """Until the command has ended; its exit status."""
        until = time.monotonic() + within_s
        while self.process.poll() is None:
            assert time.monotonic() < until, f"it does not end; the screen: {self.screen[-2000:]!r}"
            self._look()
        return self.process.returncode

    def _look(self) -> None:
        if not select.select([self._terminal], [], [], 0.05)[0]:
            return
        try:
            self.screen = _STEERING.sub("", self.screen + os.read(self._terminal, 65536).decode(errors="replace"))
        except OSError:
            time.sleep(0.05)


@contextmanager
def at_terminal(*arguments: str, env: Mapping[str, str]) -> Iterator[Person]:
    """`penstock ARGUMENTS` on a terminal of its own; it is killed at the end if it still runs."""
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=dict(env),
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(theirs)
    try:
        yield Person(process, ours)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
