"""JSON to arrays: validated by type in one pass, without a Python loop over the values."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import numpy as np

from penstock.core.errors import BadInput, TooLarge
from penstock.core.rows import array_from_json
from penstock.core.tensors import DTYPES, Array, unknown_datatype

MAX_VALUES = 4_000_000
MAX_KEYS = 500_000
_LARGE = 2**20
_MAX32 = float(np.finfo(np.float32).max)
_SCALARS: dict[str, Any] = {
    "BOOL": bool,
    "FP32": Annotated[float, msgspec.Meta(ge=-_MAX32, le=_MAX32)],
    "FP64": float,
    **{
        name: Annotated[int, msgspec.Meta(ge=int(np.iinfo(DTYPES[name]).min), le=int(np.iinfo(DTYPES[name]).max))]
        for name in ("INT8", "INT16", "INT32", "UINT8", "UINT16", "UINT32")
    },
}
_DEEPEST = 6
_any = msgspec.json.Decoder(Any)
_texts = msgspec.json.Decoder(list[str])


def _nested(scalar: Any, depth: int) -> Any:
    return scalar if depth == 0 else list[_nested(scalar, depth - 1)]  # type: ignore[misc]


_decoders = {
    (name, depth): msgspec.json.Decoder(_nested(scalar, depth))
    for name, scalar in _SCALARS.items()
    for depth in range(1, _DEEPEST + 1)
}


def check_size(body: bytes | bytearray) -> None:
    """Raises `TooLarge` for a body of more values or keys than are worth parsing as JSON."""
    if len(body) > _LARGE:
        if body.count(b",") > MAX_VALUES:
            raise TooLarge(f"more than {MAX_VALUES} values in JSON; send tensors as binary data")
        if body.count(b":") > MAX_KEYS:
            raise TooLarge(f"more than {MAX_KEYS} keys in JSON; send columns, or fewer rows")


def array_of(datatype: str, raw: msgspec.Raw) -> Array:
    """The array that a piece of JSON spells, in that datatype, in the shape of its nesting.

    Raises `BadInput` for values that do not belong to the datatype, and for ragged nesting.
    """
    data = memoryview(raw)
    depth = _depth(data)
    decoder = _decoders.get((datatype, depth))
    if decoder is not None:
        try:
            return np.array(decoder.decode(data), DTYPES[datatype])
        except (msgspec.MsgspecError, ValueError, OverflowError):
            pass  # the careful way below says what is wrong
    if datatype not in DTYPES:
        raise unknown_datatype(datatype)
    return array_from_json(datatype, decode_any(data))


def texts_of(raw: msgspec.Raw) -> list[str] | None:
    """The texts of a plain list of texts; None for anything else."""
    try:
        return _texts.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def decode_any(data: memoryview | bytes) -> Any:
    """Plain values from JSON. Raises `BadInput` for anything that is not valid JSON."""
    try:
        return _any.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"the body is not valid JSON: {error}") from None
    except RecursionError:
        raise BadInput("the JSON is nested too deeply") from None


def _depth(data: memoryview) -> int:
    """How many lists open before the first value."""
    start = bytes(data[: 4 * _DEEPEST])
    return start[: len(start) - len(start.lstrip(b"[ \t\r\n"))].count(b"[")
