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
    """Sees to it that the main thread looks at signals. `theirs` is where Python notes each that comes; the handlers
    take the notes away."""

    def __init__(self, ours: socket.socket, theirs: socket.socket):
        self._ours = ours
        self._theirs = theirs

    def leave(self, number: int, frame: FrameType | None) -> None:
        """Ends the command."""
        self._take(4096)
        signal.signal(number, signal.SIG_IGN)
        raise SystemExit(128 + number)

    def interrupt(self, number: int, frame: FrameType | None) -> None:
        """Ctrl-C."""
        self._take(4096)
        raise KeyboardInterrupt

    def run(self) -> None:
        """Sends again what was not looked at, as long as the process lives.

        The same signal, as Python calls a handler once for all that came meanwhile, and fails where another signal's is
        called while an exception is on its way.
        """
        main = threading.main_thread()
        while main.is_alive():
            came = self._ours.recv(1, socket.MSG_PEEK)[0]
            if signal.getsignal(came) not in (self.leave, self.interrupt):
                self._take(1)
                continue
            time.sleep(AGAIN_S)
            if main.ident is not None and self._take(1, socket.MSG_PEEK):
                signal.pthread_kill(main.ident, came)

    def _take(self, most: int, flags: int = 0) -> bytes:
        """Notes that are there."""
        with contextlib.suppress(BlockingIOError):
            return self._ours.recv(most, socket.MSG_DONTWAIT | flags)
        return b""
