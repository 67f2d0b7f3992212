"""The child side: read a frame, run it, write a frame. Single-threaded and crash-only.

    python -m penstock.scheduling.worker DESCRIPTOR PARENT_PID

The process ends when the socket does, and on Linux when its parent does, however that ended.
"""

from __future__ import annotations

import os
import signal
import socket
import sys

from penstock.scheduling.frames import PREFIX, Buffer, frame_size, split
from penstock.scheduling.host import Host

PR_SET_PDEATHSIG = 1
SMALL = 65_536


class Loop:
    """The socket side of a worker process."""

    def __init__(self, sock: socket.socket):
        self.sock = sock
        self.host = Host()

    def run(self) -> None:
        """Serves frames until the server closes the socket, or the model cannot be loaded."""
        while (frame := self._read()) is not None:
            self._write(self.host.answer(*frame))
            if self.host.runtime is None:
                return

    def _read(self) -> tuple[bytes, memoryview] | None:
        data = self.sock.recv(65536)
        if not data:
            return None
        while len(data) < PREFIX.size:
            more = self.sock.recv(65536)
            if not more:
                return None
            data += more
        size = frame_size(data)
        if size > len(data):
            return self._read_rest(data, size)
        if size < len(data):
            raise ValueError("the server sent a frame before the last one was answered")
        return split(data)

    def _read_rest(self, data: bytes, size: int) -> tuple[bytes, memoryview] | None:
        whole = bytearray(size)
        whole[: len(data)] = data
        view, at = memoryview(whole), len(data)
        while at < size:
            got = self.sock.recv_into(view[at:])
            if not got:
                return None
            at += got
        return split_view(view)

    def _write(self, buffers: list[Buffer]) -> None:
        if sum(map(len, buffers)) <= SMALL:
            self.sock.sendall(b"".join(buffers))
            return
        for buffer in buffers:
            self.sock.sendall(buffer)


def split_view(view: memoryview) -> tuple[bytes, memoryview]:
    """A large frame's header, and its body without a copy."""
    header, _ = PREFIX.unpack_from(view)
    start = PREFIX.size + header
    return bytes(view[PREFIX.size : start]), view[start:]


def die_with_parent(parent: int) -> None:
    """Asks Linux to kill this process when its parent ends, even by SIGKILL."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


def main() -> None:
    """Entry point of the process: inherits a connected socket by number."""
    descriptor, parent = int(sys.argv[1]), int(sys.argv[2])
    die_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        Loop(socket.socket(fileno=descriptor)).run()
    except (BrokenPipeError, ConnectionResetError):
        return


if __name__ == "__main__":
    main()
