"""Universal Binary JSON, as far as XGBoost writes it: read with every length checked against the file."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from penstock.core.errors import ModelFileError

MAX_DEPTH = 64
_NUMBERS = {b"i": ">i1", b"U": ">u1", b"I": ">i2", b"l": ">i4", b"L": ">i8", b"d": ">f4", b"D": ">f8"}
_FORMATS = {b"i": ">b", b"U": ">B", b"I": ">h", b"l": ">i", b"L": ">q", b"d": ">f", b"D": ">d"}
_CONSTANTS = {b"Z": None, b"T": True, b"F": False}


def parse(data: bytes) -> Any:
    """The document: dicts, lists, text and numbers; arrays of one number type as numpy arrays.

    Raises `ModelFileError` for a length beyond the end, an unknown mark, or bytes left over.
    """
    reader = _Reader(data)
    try:
        value = reader.value(reader.take(1), 0)
    except (UnicodeDecodeError, struct.error) as error:
        raise _damaged() from error
    if reader.at != len(data):
        raise _damaged()
    return value


def _damaged() -> ModelFileError:
    return ModelFileError("the UBJSON file is truncated or damaged")


class _Reader:
    def __init__(self, data: bytes):
        self.data = data
        self.at = 0

    def take(self, size: int) -> bytes:
        if not 0 <= size <= len(self.data) - self.at:
            raise _damaged()
        self.at += size
        return self.data[self.at - size : self.at]

    def value(self, mark: bytes, depth: int) -> Any:
        if mark in _FORMATS:
            return self.number(mark)
        if mark in _CONSTANTS:
            return _CONSTANTS[mark]
        if mark in (b"S", b"H"):
            return self.text()
        if mark == b"C":
            return self.take(1).decode("ascii")
        if depth < MAX_DEPTH and mark in (b"{", b"["):
            return self.object(depth + 1) if mark == b"{" else self.array(depth + 1)
        raise _damaged()

    def number(self, mark: bytes) -> Any:
        layout = _FORMATS.get(mark)
        if layout is None:
            raise _damaged()
        return struct.unpack(layout, self.take(struct.calcsize(layout)))[0]

    def size(self) -> int:
        mark = self.take(1)
        if mark not in (b"i", b"U", b"I", b"l", b"L"):
            raise _damaged()
        return int(self.number(mark))

    def text(self) -> str:
        return self.take(self.size()).decode()

    def object(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while self.data[self.at : self.at + 1] != b"}":
            key = self.text()
            found[key] = self.value(self.take(1), depth)
        self.at += 1
        return found

    def array(self, depth: int) -> Any:
        mark = self.take(1)
        if mark == b"$":
            return self.typed()
        if mark == b"#":
            size = self.size()
            # Every element takes a byte at least, so a count cannot exceed what is left.
            if not 0 <= size <= len(self.data) - self.at:
                raise _damaged()
            return [self.value(self.take(1), depth) for _ in range(size)]
        found = []
        while mark != b"]":
            found.append(self.value(mark, depth))
            mark = self.take(1)
        return found

    def typed(self) -> Any:
        dtype = _NUMBERS.get(self.take(1))
        if dtype is None or self.take(1) != b"#":
            raise _damaged()
        return np.frombuffer(self.take(self.size() * np.dtype(dtype).itemsize), dtype)
