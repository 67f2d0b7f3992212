"""Shared memory for the bodies of large frames: one copy in, none out, instead of two through a socket.

A worker runs one batch at a time, so one region per direction is enough, used again for every
batch; the frame on the socket says that the region holds its body. Linux only (memfd); elsewhere
bodies travel through the socket.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Sequence

from penstock.scheduling.frames import Buffer

LARGE = 128 * 2**10
"""Bytes from which a body goes through shared memory: below, the socket is as fast."""
KEEP = 32 * 2**20
"""Bytes that a region keeps between batches; a rare larger batch gives the rest back."""
_STEP = 2**20


class Arena:
    """A growing region behind a file descriptor that both processes hold."""

    def __init__(self, descriptor: int):
        self.descriptor = descriptor
        self._map: mmap.mmap | None = None
        self._size = 0

    def write(self, buffers: Sequence[Buffer], nbytes: int) -> None:
        """Puts a body into the region, growing it as needed. Raises `OSError` without memory."""
        if os.fstat(self.descriptor).st_size < nbytes:
            os.ftruncate(self.descriptor, -(-nbytes // _STEP) * _STEP)
        region = self._mapped(nbytes)
        at = 0
        for buffer in buffers:
            region[at : at + len(buffer)] = buffer
            at += len(buffer)

    def view(self, nbytes: int) -> memoryview:
        """The body that the other side put there; valid until its next frame. Raises `ValueError`."""
        return memoryview(self._mapped(nbytes))[:nbytes]

    def trim(self) -> None:
        """Gives memory over `KEEP` back, when nobody reads or writes the region."""
        if os.fstat(self.descriptor).st_size > KEEP:
            self._map, self._size = None, 0
            os.ftruncate(self.descriptor, KEEP)

    def close(self) -> None:
        """Gives the descriptor back; views stay valid until they are gone."""
        self._map = None
        os.close(self.descriptor)

    def _mapped(self, nbytes: int) -> mmap.mmap:
        if self._map is None or self._size < nbytes:
            size = os.fstat(self.descriptor).st_size
            if size < nbytes:
                raise ValueError("a frame claims more shared memory than there is")
            self._map = mmap.mmap(self.descriptor, size)
            self._size = size
        return self._map


def create() -> Arena | None:
    """A new region, or None where the system has no memfd."""
    if not hasattr(os, "memfd_create"):
        return None
    return Arena(os.memfd_create("penstock", os.MFD_CLOEXEC))
