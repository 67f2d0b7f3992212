"""A signal that comes when the terminal is about to be read is heard at once, not at the next key."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

# A signal whose note Python has taken, and that does not wake the main thread from its read: as one that comes just
# before the read begins. Here another thread receives it.
PROGRAM = """
import os, signal, sys, threading, time
from penstock.cli.chat import leaving

def receive():
    time.sleep(0.2)
    signal.pthread_kill(threading.get_ident(), {number})

leaving.at(signal.SIGTERM, signal.SIGHUP)
threading.Thread(target=receive).start()
try:
    os.read(0, 1)
except KeyboardInterrupt:
    print("interrupted", flush=True)
    sys.exit(0)
finally:
    print("cleaned up", flush=True)
"""


def heard(number: signal.Signals) -> tuple[int, bytes, bytes]:
    """What becomes of a program that the signal does not wake: its status, what it says, and its errors."""
    waiting, key = os.pipe()
    command = [sys.executable, "-c", PROGRAM.format(number=int(number))]
    with subprocess.Popen(command, stdin=waiting, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        os.close(waiting)
        said, errors = process.communicate(timeout=30)
    os.close(key)
    return process.returncode, said, errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_wakes_nobody_is_heard(number: signal.Signals) -> None:
    assert heard(number) == (128 + number, b"cleaned up\n", b"")


def test_ctrl_c_that_wakes_nobody_is_heard() -> None:
    assert heard(signal.SIGINT) == (0, b"interrupted\ncleaned up\n", b"")
