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
import os, signal, threading, time
from penstock.cli.chat import leaving

def receive():
    time.sleep(0.2)
    signal.pthread_kill(threading.get_ident(), {number})

leaving.at(signal.SIGTERM, signal.SIGHUP)
threading.Thread(target=receive).start()
try:
    os.read(0, 1)
finally:
    print("cleaned up", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_wakes_nobody_is_heard(number: signal.Signals) -> None:
    waiting, key = os.pipe()
    code = PROGRAM.format(number=int(number))
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=waiting, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        os.close(waiting)
        said, errors = process.communicate(timeout=30)
    os.close(key)
    assert (process.returncode, said, errors) == (128 + number, b"cleaned up\n", b"")
