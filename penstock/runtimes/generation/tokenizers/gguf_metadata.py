"""The metadata of a GGUF file, read without trusting it: every length is checked against the bytes that are there."""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import Any

import numpy as np

from penstock.core.errors import ModelFileError

_MAGIC = b"GGUF"
_STRING, _ARRAY = 8, 9
_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_LONGEST_KEY = 65_535
_MOST_KEYS = 100_000
_U64 = struct.Struct("<Q")


def read_metadata(path: Path, *prefixes: str) -> dict[str, Any]:
    """What the file says under keys that begin with one of `prefixes`: numbers, texts, and lists of them.

    Lists of numbers are numpy arrays, lists of texts are lists of `bytes`. Raises `ModelFileError` when it is no GGUF
    file of version 2 or 3, or is truncated or damaged.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _Reader(data).read(tuple(prefix.encode() for prefix in prefixes))
    except (OSError, ValueError, struct.error) as error:
        raise ModelFileError(
            "the GGUF file's metadata cannot be read: it is truncated or damaged", detail=str(error)
        ) from error


class _Reader:
    """A place in the file that moves on. Raises `ValueError` or `struct.error` where the file ends too early."""

    def __init__(self, data: mmap.mmap):
        self._data = data
        self._at = 0

    def read(self, prefixes: tuple[bytes, ...]) -> dict[str, Any]:
        if self._bytes(4) != _MAGIC:
            raise ValueError("no GGUF file")
        version, _, count = self._numbers("IQQ")
        if version not in (2, 3) or count > _MOST_KEYS:
            raise ValueError(f"version {version}, {count} keys")
        found: dict[str, Any] = {}
        for _ in range(count):
            key, (kind,) = self._string(_LONGEST_KEY), self._numbers("I")
            wanted = key.startswith(prefixes)
            value = self._value(kind, wanted)
            if wanted:
                found[key.decode(errors="replace")] = value
        return found

    def _value(self, kind: int, wanted: bool) -> Any:
        if kind == _STRING:
            return self._string().decode(errors="replace")
        if kind == _ARRAY:
            kind, count = self._numbers("IQ")
            return self._array(kind, count, wanted)
        return self._numbers(_code(kind))[0]

    def _array(self, kind: int, count: int, wanted: bool) -> Any:
        if kind == _STRING:
            return self._strings(count, wanted)
        if kind == _ARRAY:
            raise ValueError("a list of lists")
        type_ = np.dtype("<" + _code(kind))
        return np.frombuffer(self._bytes(count * type_.itemsize), type_)

    def _strings(self, count: int, wanted: bool) -> list[bytes]:
        """Texts, each after its length. A vocabulary has hundreds of thousands: this loop is what loading waits for."""
        data, at, end, found = self._data, self._at, len(self._data), []
        for _ in range(count):
            (size,) = _U64.unpack_from(data, at)
            start, at = at + 8, at + 8 + size
            if at > end:
                raise ValueError("texts beyond the end")
            if wanted:
                found.append(data[start:at])
        self._at = at
        return found

    def _string(self, longest: int | None = None) -> bytes:
        (size,) = self._numbers("Q")
        if longest is not None and size > longest:
            raise ValueError(f"a key of {size} bytes")
        return self._bytes(size)

    def _numbers(self, codes: str) -> tuple[Any, ...]:
        form = struct.Struct("<" + codes)
        values = form.unpack_from(self._data, self._at)
        self._at += form.size
        return values

    def _bytes(self, size: int) -> bytes:
        if size > len(self._data) - self._at:
            raise ValueError(f"{size} bytes beyond the end")
        self._at += size
        return self._data[self._at - size : self._at]


def _code(kind: int) -> str:
    if kind not in _NUMBERS:
        raise ValueError(f"a value of the unknown type {kind}")
    return _NUMBERS[kind]
