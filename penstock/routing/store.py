"""Rows by key: bounded in bytes, the least recently used go first. Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from penstock.routing.layout import Row

ITEM = 352
"""Bytes that a row costs beside its content: the objects that hold it, and its place in the table, which grows
while rows come and go."""
TEXTS = 56
TEXT = 56
"""Bytes of a tuple of texts, and of each text in it, beside the content."""


def size_of(key: bytes, row: Row) -> int:
    """The memory that a row takes, in bytes: measured, within a tenth or so."""
    size = ITEM + len(key) + len(row.numbers)
    if row.texts:
        size += TEXTS + sum([TEXT + len(text) for text in row.texts])
    return size


class Store:
    """The known rows of one model. `capacity`: bytes that they may take together."""

    def __init__(self, capacity: int):
        self.capacity = capacity
        self.bytes = 0
        self._rows: OrderedDict[bytes, Row] = OrderedDict()

    def __len__(self) -> int:
        return len(self._rows)

    def find(self, keys: Iterable[bytes]) -> list[Row | None]:
        """The rows of these keys, None where they are unknown."""
        rows, used = self._rows, self._rows.move_to_end
        found = []
        for key in keys:
            row = rows.get(key)
            if row is not None:
                used(key)
            found.append(row)
        return found

    def keep(self, key: bytes, row: Row) -> bool:
        """Keeps a row, and forgets others for it; False when it alone is larger than the store."""
        size = size_of(key, row)
        if size > self.capacity:
            return False
        if key in self._rows:
            self._forget(key, self._rows.pop(key))
        while self.bytes + size > self.capacity:
            oldest, forgotten = self._rows.popitem(last=False)
            self._forget(oldest, forgotten)
            forgotten.layout.counts.evictions += 1
        self._rows[key] = row
        self._count(row, 1, size)
        return True

    def _forget(self, key: bytes, row: Row) -> None:
        self._count(row, -1, -size_of(key, row))

    def _count(self, row: Row, items: int, size: int) -> None:
        self.bytes += size
        counts = row.layout.counts
        counts.items += items
        counts.bytes += size
