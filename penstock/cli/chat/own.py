"""A server of a command's own: a child process that ends with the command."""

from __future__ import annotations

import contextlib
import ctypes
import os
import selectors
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import IO, Any

import msgspec

from penstock.core.errors import SetupError

STOP_S = 20.0
_KEPT = ("PENSTOCK_CACHE", "PENSTOCK_HOME")
_PR_SET_PDEATHSIG = 1
_TICK_S = 0.1


@contextlib.contextmanager
def serving(source: str, name: str, waiting: Callable[[], None]) -> Iterator[str]:
    """The URL of a server of one model, on any free port of this machine; it ends with the block.

    `waiting` is called ten times a second while the model loads. Raises `SetupError` with the server's own words when
    it does not start.
    """
    command = [sys.executable, "-m", "penstock.cli.main", "serve", source, "--name", name, "--port", "0", "--json"]
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--log-level", "error", "--log-format", "text"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment(),
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )
        try:
            yield _url(process, errors, waiting)
        finally:
            _end(process)


def environment() -> dict[str, str]:
    """This process's environment without a server's settings. Nobody else asks the server, so it keeps nothing and
    needs no keys."""
    own = (key for key in os.environ if key == "PORT" or (key.startswith("PENSTOCK_") and key not in _KEPT))
    left_out = set(own)
    return {key: value for key, value in os.environ.items() if key not in left_out} | {"PENSTOCK_STATE__URL": "none"}


def _url(process: subprocess.Popen[bytes], errors: IO[bytes], waiting: Callable[[], None]) -> str:
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while not selector.select(_TICK_S):
            waiting()
    line = process.stdout.readline()
    if not line:
        process.wait()
        errors.seek(0)
        raise SetupError(_reason(errors.read().decode(errors="replace")))
    ready: Any = msgspec.json.decode(line)
    return str(ready["url"])


def _reason(said: str) -> str:
    """Why it did not start, from what it wrote."""
    _, mark, why = said.rpartition("penstock: ")
    return why.strip() if mark else f"the model's server did not start: {said.strip()[-500:] or 'it said nothing'}"


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends the server; a second Ctrl-C meanwhile ends it at once."""
    assert process.stdout is not None
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(STOP_S)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        process.kill()
        process.wait()
    process.stdout.close()


def _die_with_parent() -> None:
    """Asks Linux to stop the server when the command is killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
