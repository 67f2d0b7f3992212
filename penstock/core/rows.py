"""Rows as people write them (a list, a dict of columns, a text) to tensors and back.

This is the mapping of the predict door, of examples in manifests, and of warm-up requests:
one row is the value of the only input, or a dict from input name to value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import NoneType
from typing import Any

import msgspec
import numpy as np

from penstock.core.errors import BadInput
from penstock.core.signature import Signature, TensorSpec, wrong_shape
from penstock.core.tensors import DTYPES, Array, Tensor, Tensors, bytes_array, object_array

MAX_DEPTH = 32


def rows_to_tensors(signature: Signature, rows: Sequence[Any]) -> dict[str, Tensor]:
    """Tensors for a list of rows, by the signature.

    A row is a dict of input values or, when the model has one input (or reads text, and its other inputs are
    optional), that input's value; with several a list gives them in order. Raises `BadInput` naming row and input.
    """
    if not rows:
        raise BadInput("inputs is empty; send at least one row")
    specs = signature.inputs
    if not signature.batched:
        return _single(signature, rows)
    if _first_alone(signature, rows[0]):
        return {specs[0].name: column(specs[0], rows)}
    columns = _columns(specs, rows)
    return {spec.name: column(spec, columns[spec.name]) for spec in specs if spec.name in columns}


def _first_alone(signature: Signature, row: Any) -> bool:
    """Whether a row is the first input's value, and not several inputs' by name or in order."""
    specs = signature.inputs
    if len(specs) == 1:
        return not (isinstance(row, dict) and specs[0].name in row)
    # A table's row is never one value; a text model's other inputs are extras.
    return bool(signature.task) and all(spec.optional for spec in specs[1:]) and isinstance(row, str)


def _single(signature: Signature, rows: Sequence[Any]) -> dict[str, Tensor]:
    """A model without a batch axis takes one item per request."""
    if len(rows) != 1:
        raise BadInput(f"this model takes one input at a time, got {len(rows)}")
    row, specs = rows[0], signature.inputs
    if len(specs) == 1 and not (isinstance(row, dict) and specs[0].name in row):
        row = {specs[0].name: row}
    values = _as_dict(specs, row, 0)
    return {spec.name: _tensor(spec, values[spec.name], spec.shape) for spec in specs if spec.name in values}


def _columns(specs: Sequence[TensorSpec], rows: Sequence[Any]) -> dict[str, list[Any]]:
    names = [spec.name for spec in specs]
    known = set(names)
    columns: dict[str, list[Any]] = {name: [] for name in names}
    for index, row in enumerate(rows):
        values = _as_dict(specs, row, index)
        if values.keys() - known:
            unknown = ", ".join(sorted(str(k)[:64] for k in values.keys() - known)[:5])
            raise BadInput(f"row {index}: unknown column {unknown}; the model takes: {', '.join(names[:20])}")
        for spec in specs:
            if spec.name in values:
                columns[spec.name].append(values[spec.name])
            elif not spec.optional:
                raise BadInput(f"row {index}: column {spec.name!r} is missing")
    for name, values_of in list(columns.items()):
        if not values_of:
            del columns[name]
        elif len(values_of) != len(rows):
            raise BadInput(f"column {name!r} is in some rows and not in others")
    return columns


def _as_dict(specs: Sequence[TensorSpec], row: Any, index: int) -> Mapping[str, Any]:
    if isinstance(row, Mapping):
        return row
    if isinstance(row, (list, tuple)) and len(row) == len(specs):
        return {spec.name: value for spec, value in zip(specs, row, strict=True)}
    names = ", ".join(spec.name + (" (optional)" if spec.optional else "") for spec in specs[:20])
    alone = "a text, or " if specs[0].datatype == "BYTES" and all(spec.optional for spec in specs[1:]) else ""
    raise BadInput(f"row {index} must be {alone}an object with the columns: {names}")


def column(spec: TensorSpec, values: Sequence[Any]) -> Tensor:
    """One input's tensor from its value in every row; a column [-1, 1] takes plain scalars."""
    rest = spec.shape[1:]
    if rest == (1,) and not isinstance(values[0], (list, tuple)):
        return _tensor(spec, list(values), (-1,), shape=(len(values), 1))
    return _tensor(spec, values, (-1, *rest))


def _tensor(spec: TensorSpec, values: Any, wanted: tuple[int, ...], shape: tuple[int, ...] | None = None) -> Tensor:
    try:
        array = array_from_json(spec.datatype, values)
    except BadInput as error:
        raise BadInput(f"input {spec.name!r}: {error.message}") from None
    if len(array.shape) != len(wanted) or any(w not in (-1, s) for w, s in zip(wanted, array.shape, strict=True)):
        raise wrong_shape(spec.name, wanted, array.shape)
    return Tensor(spec.datatype, array if shape is None else array.reshape(shape))


def array_from_json(datatype: str, values: Any) -> Array:
    """An array from decoded JSON (nested lists of plain values), exactly or not at all.

    null in a floating-point type is NaN. Raises `BadInput` for ragged nesting, 1.5 or true in an
    integer, true in a float, numbers out of range, and anything but text in BYTES. Shape: that of
    the nesting.
    """
    flat, shape = flatten(values)
    if datatype == "BYTES":
        return bytes_array(object_array(flat, shape))
    if datatype in ("FP16", "BF16"):
        return _half(datatype, flat, shape)
    return exact_array(datatype, flat).reshape(shape)


def _half(datatype: str, flat: list[Any], shape: tuple[int, ...]) -> Array:
    if datatype == "BF16":
        raise BadInput("BF16 has no JSON form; send it as binary data")
    with np.errstate(over="ignore"):
        array = exact_array("FP32", flat).astype(np.float16)
    if np.isinf(array).any():
        raise BadInput("a value is out of the range of FP16")
    return array.reshape(shape)


def flatten(values: Any) -> tuple[list[Any], tuple[int, ...]]:
    """Nested lists as one flat list and their shape. Raises `BadInput` when ragged or too deep."""
    shape: list[int] = []
    level = [values]
    while level and isinstance(level[0], (list, tuple)):
        size = len(level[0])
        if any(not isinstance(item, (list, tuple)) or len(item) != size for item in level):
            raise BadInput("the nested lists are ragged: every list on a level must have the same length")
        shape.append(size)
        if len(shape) > MAX_DEPTH:
            raise BadInput(f"lists are nested deeper than {MAX_DEPTH}")
        level = [value for item in level for value in item]
    if any(isinstance(item, (list, tuple, dict)) for item in level):
        raise BadInput("the nested lists are ragged, or hold objects where values belong")
    return level, tuple(shape)


def exact_array(datatype: str, flat: list[Any]) -> Array:
    """A one-dimensional array of plain values that all belong to the datatype.

    Integers take whole floats (22.0); floating-point types take null, as NaN. Raises `BadInput`,
    naming the first value that does not belong, and its place.
    """
    dtype = DTYPES[datatype]
    kinds = set(map(type, flat))
    if not kinds <= _TAKES[dtype.kind] or (float in kinds and dtype.kind in "iu" and not _whole(flat)):
        raise _stranger(datatype, flat, _TAKES[dtype.kind])
    if float in kinds and dtype.kind in "iu":
        flat = list(map(int, flat))
    try:
        with np.errstate(over="ignore"):
            array = np.array(flat, dtype=dtype)
    except (OverflowError, ValueError):
        raise BadInput(f"a value is out of the range of {datatype}") from None
    if dtype.kind == "f" and np.isinf(array).any():
        raise BadInput(f"a value is out of the range of {datatype}")
    return array


_TAKES: dict[str, set[type]] = {
    "b": {bool},
    "i": {int, float},
    "u": {int, float},
    "f": {int, float, NoneType},
}


_NAMES = {"b": "true or false", "i": "int", "u": "int", "f": "float or int"}


def _whole(flat: list[Any]) -> bool:
    return all(value.is_integer() for value in flat if isinstance(value, float))


def _stranger(datatype: str, flat: list[Any], takes: set[type]) -> BadInput:
    """Names the first value that does not belong."""
    for place, value in enumerate(flat):
        if type(value) not in takes:
            what = "null" if value is None else f"{type(value).__name__} {str(value)[:40]!r}"
            return BadInput(f"{datatype} takes {_NAMES[DTYPES[datatype].kind]}, got {what} as value {place}")
        if isinstance(value, float) and datatype not in ("FP32", "FP64") and not value.is_integer():
            hint = "an example with fractions makes it a floating-point input"
            return BadInput(f"{datatype} takes whole numbers, got {value} as value {place}; {hint}")
    return BadInput(f"a value does not belong in {datatype}")


def to_json(tensor: Tensor) -> Any:
    """Nested lists of plain values. BYTES become text: UTF-8, each byte that is not valid as U+FFFD.

    NaN and infinities stay floats; the JSON encoder writes them as null.
    """
    if tensor.datatype == "BYTES":
        return _text(tensor.array.tolist())
    if tensor.datatype == "BF16":
        return bf16_to_fp32(tensor.array).tolist()
    return tensor.array.tolist()


def bf16_to_fp32(bits: Array) -> Array:
    """BF16 bits (uint16) as float32 of the same value."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def _text(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return [_text(item) for item in value] if isinstance(value, list) else value


def tensors_to_rows(
    signature: Signature, outputs: Tensors, *, wide: int | None = None, plain: Callable[[Tensor], Any] = to_json
) -> list[Any]:
    """One value per row: the only output's value, or a dict from output name to value.

    Values take the form that the signature gives their output (see `TensorSpec.form`). `wide`: numeric rows of at
    least so many values stay arrays (C-contiguous), for an encoder that takes them; None: none do.
    `plain`: makes nested lists of the others.
    """
    values = {n: plain(tensor) if wide is None else _values(tensor, wide, plain) for n, tensor in outputs.items()}
    for spec in signature.outputs:
        if spec.form != "plain" and spec.name in values:
            values[spec.name] = _formed(spec, plain(outputs[spec.name]))
    if not signature.batched:
        return [next(iter(values.values())) if len(values) == 1 else values]
    if len(values) == 1:
        return list(next(iter(values.values())))
    names = list(values)
    return [dict(zip(names, row, strict=True)) for row in zip(*values.values(), strict=True)]


def _values(tensor: Tensor, wide: int, plain: Callable[[Tensor], Any]) -> Any:
    array = tensor.array
    if array.ndim > 1 and array[:1].size >= wide and tensor.datatype not in ("BYTES", "BF16"):
        return list(np.ascontiguousarray(array))
    return plain(tensor)


def _formed(spec: TensorSpec, rows: list[Any]) -> list[Any]:
    if spec.form == "json":
        return [msgspec.json.decode(row) for row in rows]
    return [dict(zip(spec.labels or (), row, strict=True)) for row in rows]
