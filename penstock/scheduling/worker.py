"""The child side: read a frame, run it, write a frame. Single-threaded and crash-only.

    python -m penstock.scheduling.worker PARENT_PID SOCKET [SHARED_IN SHARED_OUT]

The numbers are inherited descriptors. The process ends when the socket does, and on Linux when its
parent does, however that ended.
"""

from __future__ import annotations

import os
import signal
import socket
import sys

from penstock.scheduling.arena import LARGE, Arena
from penstock.scheduling.frames import PREFIX, Buffer, frame_size, shared, shared_size, split
from penstock.scheduling.host import Host
from penstock.scheduling.steps import Steps

PR_SET_PDEATHSIG = 1
SMALL = 65_536


class Loop:
    """The socket side of a worker process."""

    def __init__(self, sock: socket.socket, inwards: Arena | None, outwards: Arena | None):
        self.sock = sock
        self.host = Host()
        self._inwards = inwards
        self._outwards = outwards

    def run(self) -> None:
        """Serves frames until the server closes the socket, or the model cannot be loaded."""
        while (frame := self._read()) is not None:
            header, body = split(frame)
            if size := shared_size(frame):
                body = self._shared_body(size)
            if not self.host.borrows:
                body = memoryview(bytearray(body))
            self._write(self.host.answer(header, body))
            if self.host.engine is not None:
                Steps(self.sock, self.host.engine).run()
                return
            if self.host.runtime is None:
                return

    def _shared_body(self, size: int) -> memoryview:
        if self._inwards is None:
            raise ValueError("the server names shared memory that there is not")
        return self._inwards.view(size)

    def _read(self) -> bytes | memoryview | None:
        data = self.sock.recv(SMALL)
        while data and len(data) < PREFIX.size:
            more = self.sock.recv(SMALL)
            data = data + more if more else b""
        if not data:
            return None
        size = frame_size(data)
        if size < len(data):
            raise ValueError("the server sent a frame before the last one was answered")
        return data if size == len(data) else self._read_rest(data, size)

    def _read_rest(self, data: bytes, size: int) -> memoryview | None:
        view, at = memoryview(bytearray(size)), len(data)
        view[:at] = data
        while at < size:
            got = self.sock.recv_into(view[at:])
            if not got:
                return None
            at += got
        return view

    def _write(self, buffers: list[Buffer]) -> None:
        nbytes = sum(map(len, buffers)) - len(buffers[0])
        if nbytes >= LARGE and self._outwards is not None:
            self._outwards.write(buffers[1:], nbytes)
            buffers = [shared(buffers, nbytes)]
        self.sock.sendall(b"".join(buffers))


def die_with_parent(parent: int) -> None:
    """Asks Linux to kill this process when its parent ends, even by SIGKILL."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


def main() -> None:
    """Entry point of the process: inherits a connected socket by number."""
    parent, descriptor, *shared_memory = map(int, sys.argv[1:])
    die_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        inwards, outwards = map(Arena, shared_memory) if shared_memory else (None, None)
        Loop(socket.socket(fileno=descriptor), inwards, outwards).run()
    except (BrokenPipeError, ConnectionResetError):
        return


if __name__ == "__main__":
    main()
