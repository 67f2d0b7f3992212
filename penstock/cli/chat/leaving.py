"""Signals that are looked at whenever they come."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
import time
from types import FrameType

AGAIN_S = 0.1


def at(*numbers: signal.Signals) -> None:
    """At these signals the command ends with status 128 and the signal's number, once what it began is cleaned up.

    Python looks at signals between its own instructions. One that comes between the prompt's last byte and the wait for
    a key (Ctrl-C as well) would be looked at after the next key, so a thread sends it again until it was.
    """
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    watch = _Watch(ours, theirs)
    for number in numbers:
        signal.signal(number, watch.leave)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, watch.interrupt)
    signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=watch.run, daemon=True).start()


class _Watch:
    """Counts the signals that the main thread has looked at. `theirs` is what all are written to, kept open here."""

    def __init__(self, ours: socket.socket, theirs: socket.socket):
        self._ours = ours
        self._theirs = theirs
        self._looked = 0

    def leave(self, number: int, frame: FrameType | None) -> None:
        """Ends the command."""
        self._looked += 1
        signal.signal(number, signal.SIG_IGN)
        raise SystemExit(128 + number)

    def interrupt(self, number: int, frame: FrameType | None) -> None:
        """Ctrl-C."""
        self._looked += 1
        raise KeyboardInterrupt

    def run(self) -> None:
        """Reads which signals have come, as long as the process lives."""
        before = 0
        while True:
            came = self._ours.recv(1)[0]
            if signal.getsignal(came) in (self.leave, self.interrupt):
                self._insist(came, before)
            before = self._looked

    def _insist(self, came: int, before: int) -> None:
        """The same signal: Python calls a handler once for all that came meanwhile, and fails where another signal's
        is called while an exception is on its way. What was sent again is read as well, and means nothing."""
        main = threading.main_thread()
        time.sleep(AGAIN_S)
        while self._looked == before and main.ident is not None and main.is_alive():
            signal.pthread_kill(main.ident, came)
            time.sleep(AGAIN_S)
        with contextlib.suppress(BlockingIOError):
            self._ours.recv(4096, socket.MSG_DONTWAIT)
