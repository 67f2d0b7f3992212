"""Leaving at a signal, whenever it comes."""

from __future__ import annotations

import signal
import socket
import threading
import time
from types import FrameType

AGAIN_S = 0.1


def at(*numbers: signal.Signals) -> None:
    """At these signals the command ends with status 128 and the signal's number, once what it began is cleaned up.

    Python looks at signals between its own instructions. One that comes between the prompt's last byte and the wait for
    a key would be looked at after the next key, so a thread sends it again until it was.
    """
    for number in numbers:
        signal.signal(number, _leave)
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_insist, args=(ours, theirs, frozenset(numbers)), daemon=True).start()


def _leave(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)
    raise SystemExit(128 + number)


def _insist(ours: socket.socket, theirs: socket.socket, numbers: frozenset[int]) -> None:
    """Reads what signals have come; `theirs` is what they are written to, kept open here."""
    main = threading.main_thread()
    while (came := ours.recv(1)[0]) not in numbers:
        continue
    while main.ident is not None and main.is_alive():
        time.sleep(AGAIN_S)
        signal.pthread_kill(main.ident, came)
