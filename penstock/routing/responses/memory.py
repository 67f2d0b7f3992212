"""Answers in this process: bounded in bytes and in time, the least recently used go first. Pure."""

from __future__ import annotations

from collections import OrderedDict

import msgspec

ITEM = 300
"""Bytes that an answer costs beside its content: the objects that hold it and its key."""


class Entry(msgspec.Struct, frozen=True, gc=False):
    """An answer's bytes. `at`: when it was given, `until`: when it is forgotten, on the process's own clock."""

    data: bytes
    at: float
    until: float


class Memory:
    """`capacity`: bytes that answers may take together."""

    def __init__(self, capacity: int):
        self.capacity = capacity
        self.bytes = 0
        self.evictions = 0
        self._entries: OrderedDict[bytes, Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, key: bytes, now: float) -> Entry | None:
        """The answer to a key; one whose time has passed is forgotten."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry.until < now:
            self.forget(key)
            return None
        self._entries.move_to_end(key)
        return entry

    def keep(self, key: bytes, entry: Entry) -> bool:
        """Keeps an answer, and forgets others for it; False when it alone is larger than all may be."""
        self.forget(key)
        size = _size(entry)
        if size > self.capacity:
            return False
        while self.bytes + size > self.capacity:
            self.forget(next(iter(self._entries)))
            self.evictions += 1
        self._entries[key] = entry
        self.bytes += size
        return True

    def forget(self, key: bytes) -> None:
        """Forgets the answer to a key, if there is one."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.bytes -= _size(entry)

    def clear(self) -> None:
        """Forgets everything."""
        self._entries.clear()
        self.bytes = 0


def _size(entry: Entry) -> int:
    return ITEM + len(entry.data)
