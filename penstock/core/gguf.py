"""GGUF files read with care: metadata, and where tensors lie. No count, length or offset is believed before it was
compared with the file's size (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md)."""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from penstock.core.errors import ModelFileError

MAGIC = b"GGUF"
MAX_ENTRIES = 65_536
MAX_ELEMENTS = 4_194_304
"""Elements of arrays of text that one file may have: each has to be walked."""
MAX_TEXT = 16 * 2**20
MAX_KEY = 65_535
MAX_NAME = 1_024
MAX_KEPT = 64 * 2**20
"""Bytes of metadata that are kept in memory."""
SHORT = 1_024
"""Elements up to which an array of numbers is read with the rest; others only when they are asked for."""
_TEXT, _ARRAY, _BOOL = 8, 9, 7
_NUMBERS = {
    0: struct.Struct("<B"), 1: struct.Struct("<b"), 2: struct.Struct("<H"), 3: struct.Struct("<h"),
    4: struct.Struct("<I"), 5: struct.Struct("<i"), 6: struct.Struct("<f"), _BOOL: struct.Struct("<?"),
    10: struct.Struct("<Q"), 11: struct.Struct("<q"), 12: struct.Struct("<d"),
}  # fmt: skip
_U32, _U64 = _NUMBERS[4], _NUMBERS[10]
# Of each kind of tensor, by its number: name, elements in a block, bytes of a block.
KINDS = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 9: ("Q8_1", 32, 40), 10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210), 15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74), 18: ("IQ3_XXS", 256, 98), 19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110), 22: ("IQ2_S", 256, 82), 23: ("IQ4_XS", 256, 136),
    24: ("I8", 1, 1), 25: ("I16", 1, 2), 26: ("I32", 1, 4), 27: ("I64", 1, 8), 28: ("F64", 1, 8),
    29: ("IQ1_M", 256, 56), 30: ("BF16", 1, 2), 34: ("TQ1_0", 256, 54), 35: ("TQ2_0", 256, 66),
    39: ("MXFP4", 32, 17), 40: ("NVFP4", 64, 36), 41: ("Q1_0", 128, 18),
}  # fmt: skip


class Array(NamedTuple):
    """A long array that was not read: the kind of its elements, how many they are, and where the first one is."""

    kind: int
    count: int
    start: int


class Tensor(NamedTuple):
    """One tensor. `kind`: "Q4_0". `size`: in bytes. `offset`: from where the tensors begin."""

    name: str
    kind: str
    shape: tuple[int, ...]
    size: int
    offset: int

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        count = 1
        for size in self.shape:
            count *= size
        return count


class Gguf(NamedTuple):
    """A whole GGUF file. Long arrays are `Array` in its metadata; `array` reads one."""

    path: Path
    metadata: Mapping[str, Any]
    tensors: tuple[Tensor, ...]

    def array(self, key: str) -> list[Any]:
        """An array of the metadata, read now; texts are bytes. [] when there is none. Raises as `read` does."""
        value = self.metadata.get(key)
        if not isinstance(value, Array):
            return list(value) if isinstance(value, list) else []
        try:
            with self.path.open("rb") as file:
                return _Reader(file, self.path.name, self.path.stat().st_size, value.start).elements(value)
        except OSError as error:
            raise ModelFileError(f"{self.path.name} cannot be read: {error.strerror}") from error


def read(path: Path) -> Gguf:
    """The metadata and tensors of a GGUF file. Raises `ModelFileError` when it is cut short, damaged or not known."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            reader = _Reader(file, path.name, size)
            tensors, pairs = reader.head()
            metadata = reader.metadata(pairs)
            return Gguf(path, metadata, reader.tensors(tensors, metadata))
    except OSError as error:
        raise ModelFileError(f"{path.name} cannot be read: {error.strerror}") from error


class _Reader:
    """A place in a file that is never moved beyond its end."""

    def __init__(self, file: BinaryIO, name: str, size: int, at: int = 0):
        self._file = file
        self._name = name
        self._size = size
        self._at = at
        self._kept = 0
        self._walked = 0
        file.seek(at)

    def head(self) -> tuple[int, int]:
        """How many tensors and pairs of metadata there are said to be."""
        if self._bytes(4) != MAGIC:
            raise self._damaged("it does not begin with GGUF")
        version = self._number(_U32)
        if version not in (2, 3):
            raise ModelFileError(f"{self._name} is GGUF of version {self._version(version)}; versions 2 and 3 are read")
        tensors, pairs = self._number(_U64), self._number(_U64)
        if tensors > MAX_ENTRIES or pairs > MAX_ENTRIES:
            raise self._damaged(f"it claims {tensors:,} tensors and {pairs:,} settings")
        return tensors, pairs

    @staticmethod
    def _version(version: int) -> str:
        return f"{version}" if version < 65_536 else "3 for big-endian machines"

    def metadata(self, pairs: int) -> dict[str, Any]:
        """Values by name; long arrays are left where they are."""
        found: dict[str, Any] = {}
        for _ in range(pairs):
            key = self._name_of(MAX_KEY)
            if key in found:
                raise self._damaged(f"it has two settings named {key[:80]!r}")
            found[key] = self._value(self._number(_U32))
        return found

    def _value(self, kind: int) -> Any:
        if kind == _TEXT:
            return self._text(MAX_TEXT).decode(errors="replace")
        if kind == _ARRAY:
            return self._array()
        return self._number(self._layout(kind))

    def _array(self) -> list[Any] | Array:
        kind, count = self._number(_U32), self._number(_U64)
        array = Array(kind, count, self._at)
        if kind != _TEXT:
            width = self._layout(kind).size
            self._need(count * width)
            if count <= SHORT:
                return self._numbers(array)
            self._skip(count * width)
            return array
        self._need(count * _U64.size)
        self._walk(count)
        for _ in range(count):
            self._skip(self._number(_U64))
        return array

    def _walk(self, count: int) -> None:
        self._walked += count
        if self._walked > MAX_ELEMENTS:
            raise self._damaged(f"its lists of texts have over {MAX_ELEMENTS:,} elements")

    def elements(self, array: Array) -> list[Any]:
        """What an array holds; texts as bytes."""
        if array.kind != _TEXT:
            self._need(array.count * self._layout(array.kind).size)
            self._walk(array.count)
            return self._numbers(array)
        self._walk(array.count)
        return [self._text(MAX_TEXT) for _ in range(array.count)]

    def _numbers(self, array: Array) -> list[Any]:
        layout = self._layout(array.kind)
        data = self._bytes(array.count * layout.size)
        self._keep(len(data))
        return [value for (value,) in layout.iter_unpack(data)]

    def tensors(self, count: int, metadata: Mapping[str, Any]) -> tuple[Tensor, ...]:
        """Where the tensors are, all of them within the file."""
        found: dict[str, Tensor] = {}
        for _ in range(count):
            tensor = self._tensor()
            if tensor.name in found:
                raise self._damaged(f"it has two tensors named {tensor.name[:80]!r}")
            found[tensor.name] = tensor
        self._check_places(found.values(), self._alignment(metadata))
        return tuple(found.values())

    def _tensor(self) -> Tensor:
        name = self._name_of(MAX_NAME)
        dimensions = self._number(_U32)
        if not 1 <= dimensions <= 4:
            raise self._damaged(f"the tensor {name[:80]!r} has {dimensions} dimensions")
        shape = tuple(self._number(_U64) for _ in range(dimensions))
        kind, offset = self._number(_U32), self._number(_U64)
        if kind not in KINDS:
            raise ModelFileError(
                f"{self._name} has tensors of a kind that is not known here ({kind}): it is damaged, or newer than "
                "this version of Penstock"
            )
        title, block, width = KINDS[kind]
        tensor = Tensor(name, title, shape, 0, offset)
        # A dimension's own bound comes first: the product of four may have thousands of digits.
        if max(shape) > self._size * block or shape[0] % block:
            raise self._damaged(f"the tensor {name[:80]!r} cannot have the shape {list(shape)}")
        return tensor._replace(size=tensor.elements // block * width)

    def _alignment(self, metadata: Mapping[str, Any]) -> int:
        alignment = metadata.get("general.alignment", 32)
        if type(alignment) is not int or not 1 <= alignment <= 2**20 or alignment & (alignment - 1):
            raise self._damaged(f"general.alignment is {str(alignment)[:40]}")
        return alignment

    def _check_places(self, tensors: Any, alignment: int) -> None:
        start = -(-self._at // alignment) * alignment
        end = start
        for tensor in tensors:
            if tensor.offset % alignment:
                raise self._damaged(f"the tensor {tensor.name[:80]!r} begins at an odd place")
            end = max(end, start + tensor.offset + tensor.size)
        if tensors and end > self._size:
            raise ModelFileError(
                f"{self._name} is truncated or damaged: its header describes {end:,} bytes, and it has "
                f"{self._size:,}; get it again"
            )

    # --- bytes

    def _layout(self, kind: int) -> struct.Struct:
        if kind == _ARRAY:
            raise self._damaged("it has lists of lists")
        if kind not in _NUMBERS:
            raise self._damaged(f"it has a setting of the unknown kind {kind}")
        return _NUMBERS[kind]

    def _name_of(self, longest: int) -> str:
        try:
            return self._text(longest).decode()
        except UnicodeDecodeError as error:
            raise self._damaged("a name in it is no text") from error

    def _text(self, longest: int) -> bytes:
        length = self._number(_U64)
        if length > longest:
            self._need(length)
            raise self._damaged(f"a text in it has {length:,} bytes")
        self._keep(length)
        return self._bytes(length)

    def _number(self, layout: struct.Struct) -> Any:
        return layout.unpack(self._bytes(layout.size))[0]

    def _bytes(self, count: int) -> bytes:
        self._need(count)
        data = self._file.read(count)
        if len(data) != count:
            raise self._truncated()
        self._at += count
        return data

    def _skip(self, count: int) -> None:
        self._need(count)
        self._file.seek(count, os.SEEK_CUR)
        self._at += count

    def _need(self, count: int) -> None:
        if count > self._size - self._at:
            raise self._truncated()

    def _keep(self, count: int) -> None:
        self._kept += count
        if self._kept > MAX_KEPT:
            raise self._damaged(f"its settings are over {MAX_KEPT // 2**20} MB")

    def _truncated(self) -> ModelFileError:
        return ModelFileError(f"{self._name} is truncated or damaged: its header ends in the middle; get it again")

    def _damaged(self, what: str) -> ModelFileError:
        return ModelFileError(f"{self._name} is damaged: {what}; get it again")
