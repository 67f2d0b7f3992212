"""Values in a GGUF file, one after the other: no length is believed before it was compared with what is left."""

from __future__ import annotations

import os
import struct
from typing import Any, BinaryIO, NamedTuple

from penstock.core.errors import ModelFileError

MAX_ELEMENTS = 4_194_304
"""Elements of arrays of text that one file may have: each has to be walked."""
MAX_TEXT = 16 * 2**20
MAX_KEPT = 64 * 2**20
"""Bytes of metadata that are kept in memory."""
SHORT = 1_024
"""Elements up to which an array of numbers is read with the rest; others only when they are asked for."""
_TEXT, _ARRAY = 8, 9
_NUMBERS = {
    0: struct.Struct("<B"), 1: struct.Struct("<b"), 2: struct.Struct("<H"), 3: struct.Struct("<h"),
    4: struct.Struct("<I"), 5: struct.Struct("<i"), 6: struct.Struct("<f"), 7: struct.Struct("<?"),
    10: struct.Struct("<Q"), 11: struct.Struct("<q"), 12: struct.Struct("<d"),
}  # fmt: skip


class Array(NamedTuple):
    """A long array that was not read: the kind of its elements, how many they are, and where the first one is."""

    kind: int
    length: int
    start: int


class Values:
    """A place in a file that moves on with what is read, and never beyond the end. Raises `ModelFileError`."""

    def __init__(self, file: BinaryIO, name: str, size: int, at: int = 0):
        self._file = file
        self._name = name
        self._kept = 0
        self._walked = 0
        self.size = size
        self.at = at
        file.seek(at)

    def u32(self) -> int:
        """A number of four bytes."""
        return int(self._number(_NUMBERS[4]))

    def u64(self) -> int:
        """A number of eight bytes."""
        return int(self._number(_NUMBERS[10]))

    def name(self, longest: int) -> str:
        """A text that must be one."""
        try:
            return self._text(longest).decode()
        except UnicodeDecodeError as error:
            raise self.damaged("a name in it is no text") from error

    def value(self) -> Any:
        """A value after its kind; long arrays are left where they are."""
        kind = self.u32()
        if kind == _TEXT:
            return self._text(MAX_TEXT).decode(errors="replace")
        return self._array() if kind == _ARRAY else self._number(self._layout(kind))

    def elements(self, array: Array) -> list[Any]:
        """What an array holds that begins here; texts as bytes."""
        self._walk(array.length)
        if array.kind == _TEXT:
            return [self._text(MAX_TEXT) for _ in range(array.length)]
        return self._numbers(array)

    def raw(self, count: int) -> bytes:
        """So many bytes."""
        self._need(count)
        data = self._file.read(count)
        if len(data) != count:
            raise self._truncated()
        self.at += count
        return data

    def damaged(self, what: str) -> ModelFileError:
        """The error for something that cannot be."""
        return ModelFileError(f"{self._name} is damaged: {what}; get it again")

    def _array(self) -> list[Any] | Array:
        kind, count = self.u32(), self.u64()
        array = Array(kind, count, self.at)
        if kind == _TEXT:
            self._need(count * 8)
            self._walk(count)
            for _ in range(count):
                self._skip(self.u64())
            return array
        width = self._layout(kind).size
        self._need(count * width)
        if count <= SHORT:
            return self._numbers(array)
        self._skip(count * width)
        return array

    def _walk(self, count: int) -> None:
        self._walked += count
        if self._walked > MAX_ELEMENTS:
            raise self.damaged(f"its lists of texts have over {MAX_ELEMENTS:,} elements")

    def _numbers(self, array: Array) -> list[Any]:
        layout = self._layout(array.kind)
        data = self.raw(array.length * layout.size)
        self._keep(len(data))
        return [value for (value,) in layout.iter_unpack(data)]

    def _layout(self, kind: int) -> struct.Struct:
        if kind == _ARRAY:
            raise self.damaged("it has lists of lists")
        if kind not in _NUMBERS:
            raise self.damaged(f"it has a setting of the unknown kind {kind}")
        return _NUMBERS[kind]

    def _text(self, longest: int) -> bytes:
        length = self.u64()
        self._need(length)
        if length > longest:
            raise self.damaged(f"a text in it has {length:,} bytes")
        self._keep(length)
        return self.raw(length)

    def _number(self, layout: struct.Struct) -> Any:
        return layout.unpack(self.raw(layout.size))[0]

    def _skip(self, count: int) -> None:
        self._need(count)
        self._file.seek(count, os.SEEK_CUR)
        self.at += count

    def _need(self, count: int) -> None:
        if count > self.size - self.at:
            raise self._truncated()

    def _keep(self, count: int) -> None:
        self._kept += count
        if self._kept > MAX_KEPT:
            raise self.damaged(f"its settings are over {MAX_KEPT // 2**20} MB")

    def _truncated(self) -> ModelFileError:
        return ModelFileError(f"{self._name} is truncated or damaged: its header ends in the middle; get it again")
