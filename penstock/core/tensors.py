"""Tensors: numpy arrays with the datatypes of the Open Inference Protocol.

Text and other bytes are BYTES: object arrays of `bytes`. BF16, which numpy lacks, travels as its
raw 16 bits in a uint16 array under the datatype "BF16".
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from penstock.core.errors import BadInput

Array = npt.NDArray[Any]

DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype("<u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("<i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
    "BF16": np.dtype("<u2"),
    "BYTES": np.dtype(object),
}
_NAMES = {dtype: name for name, dtype in DTYPES.items() if name != "BF16"}
MAX_ELEMENTS = 2**40


class Tensor(NamedTuple):
    """An array and its Open Inference Protocol datatype."""

    datatype: str
    array: Array

    @classmethod
    def of(cls, values: Any) -> Tensor:
        """A tensor from anything numpy understands; text becomes BYTES.

        Raises `BadInput` for a dtype that the protocol has no name for (complex, dates, objects).
        """
        array = np.asarray(values)
        if array.dtype.kind in "US" or array.dtype == object:
            return cls("BYTES", bytes_array(array))
        name = _NAMES.get(array.dtype.newbyteorder("<"))
        if name is None:
            raise BadInput(f"{array.dtype} has no Open Inference Protocol datatype; convert it first")
        return cls(name, np.ascontiguousarray(array, DTYPES[name]).reshape(array.shape))


Tensors = Mapping[str, Tensor]


def datatype_of(array: Array) -> str:
    """The protocol's name of an array's dtype: "FP32" for float32, "BYTES" for text and objects."""
    if array.dtype.kind in "USO":
        return "BYTES"
    name = _NAMES.get(array.dtype.newbyteorder("<"))
    if name is None:
        raise BadInput(f"{array.dtype} has no Open Inference Protocol datatype; convert it first")
    return name


def bytes_array(values: Array | Sequence[Any]) -> Array:
    """An object array of `bytes` from an array or list of str and bytes, the shape kept.

    Raises `BadInput` for elements that are neither text nor bytes.
    """
    source = np.asarray(values, dtype=object) if not isinstance(values, np.ndarray) else values
    result = np.empty(source.shape, dtype=object)
    flat = result.reshape(-1)
    for index, value in enumerate(source.reshape(-1).tolist()):
        flat[index] = as_bytes(value)
    return result


def as_bytes(value: object) -> bytes:
    """Text as UTF-8, bytes as they are. Raises `BadInput` for anything else."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        try:
            return value.encode()
        except UnicodeEncodeError as error:
            raise BadInput("text holds a lone surrogate; send valid Unicode") from error
    raise BadInput(f"a BYTES element must be text or bytes, not {type(value).__name__}")


def count_elements(shape: Sequence[int]) -> int:
    """How many elements a shape holds, with exact integers.

    Raises `BadInput` for negative dimensions and for products over 2**40, which no request can carry.
    """
    for size in shape:
        if size < 0:
            raise BadInput(f"shape {list(shape)[:8]} has a negative dimension")
    total = math.prod(shape)
    if total > MAX_ELEMENTS:
        raise BadInput(f"shape {list(shape)[:8]} holds {total} elements; at most {MAX_ELEMENTS}")
    return total


def encode_bytes(array: Array) -> bytes:
    """BYTES elements in row-major order, each a little-endian uint32 length and its bytes."""
    parts: list[bytes] = []
    for element in array.reshape(-1).tolist():
        parts.append(len(element).to_bytes(4, "little"))
        parts.append(element)
    return b"".join(parts)


def decode_bytes(raw: memoryview | bytes | bytearray, shape: Sequence[int]) -> Array:
    """The inverse of `encode_bytes`.

    Raises `BadInput` when a length prefix runs past the end, or the count differs from the shape's.
    """
    expected = count_elements(shape)
    view, at, end = memoryview(raw), 0, len(raw)
    if expected * 4 > end:
        raise BadInput(
            f"BYTES tensor of shape {list(shape)} has {end} bytes, fewer than its {expected} length prefixes"
        )
    elements: list[bytes] = []
    while at < end:
        stop = at + 4
        size = int.from_bytes(view[at:stop], "little")
        at = stop + size
        if at > end or len(elements) == expected:
            raise BadInput(f"BYTES tensor of shape {list(shape)}: its length prefixes do not fit its {end} bytes")
        elements.append(bytes(view[stop:at]))
    if len(elements) != expected:
        raise BadInput(f"BYTES tensor of shape {list(shape)} needs {expected} elements, got {len(elements)}")
    return object_array(elements, shape)


def object_array(elements: Sequence[object], shape: Sequence[int]) -> Array:
    """An object array of that shape from a flat list (numpy alone would unpack nested sequences)."""
    array = np.empty(len(elements), dtype=object)
    array[:] = elements
    return array.reshape(shape)


def from_raw(datatype: str, shape: Sequence[int], raw: memoryview | bytes | bytearray) -> Array:
    """An array over little-endian bytes (no copy, but for BYTES).

    Raises `BadInput` for an unknown datatype, when the byte count does not fit the shape, and for a
    BOOL that is neither 0 nor 1.
    """
    dtype = DTYPES.get(datatype)
    if dtype is None:
        raise unknown_datatype(datatype)
    if datatype == "BYTES":
        return decode_bytes(raw, shape)
    wanted = count_elements(shape) * dtype.itemsize
    if wanted != len(raw):
        raise BadInput(f"{datatype} tensor of shape {list(shape)} needs {wanted} bytes, got {len(raw)}")
    if datatype == "BOOL" and wanted and np.frombuffer(raw, np.uint8).max() > 1:
        raise BadInput("a BOOL element is one byte, 0 or 1; this tensor holds others")
    return np.frombuffer(raw, dtype).reshape(shape)


def to_raw(tensor: Tensor) -> bytes | memoryview:
    """A tensor's little-endian bytes in row-major order (no copy where the array already is that)."""
    if tensor.datatype == "BYTES":
        return encode_bytes(tensor.array)
    array = np.ascontiguousarray(tensor.array)
    return array.data.cast("B") if array.size else b""


def unknown_datatype(datatype: str) -> BadInput:
    """The error for a datatype that the protocol does not define."""
    return BadInput(f"unknown datatype {datatype[:32]!r}; known are {', '.join(DTYPES)}")
