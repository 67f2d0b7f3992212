"""Rows that a person gives to calibrate and measure by: CSV, JSON, text and NumPy files, as a model takes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from penstock.conversion import tables
from penstock.conversion.jobs import Sample
from penstock.conversion.tables import Table
from penstock.core.errors import BadInput, ConfigError
from penstock.core.rows import rows_to_tensors
from penstock.core.signature import Signature, TensorSpec, check_shape
from penstock.core.tensors import DTYPES, Array, bytes_array
from penstock.core.text import PAIR, TEXT

MAX_CALIBRATION = 300
MAX_MEASURED = 2000
MIN_ROWS = 10


class Rows(NamedTuple):
    """Inputs by name, the labels (as texts) where there are any, and how many rows the file has."""

    inputs: dict[str, Array]
    labels: list[str] | None
    chosen: int
    total: int


def read(sample: Sample, signature: Signature) -> Rows:
    """The part of a file that is meant, as the model takes it. Raises `ConfigError` that says what is wrong."""
    path = Path(sample.file)
    table = tables.read_table(path, sample.label)
    if table.total < MIN_ROWS:
        raise ConfigError(f"{path.name} has {table.total} rows; give {MIN_ROWS} at least")
    chosen = part_of(table.total, sample.part)
    try:
        inputs = _inputs(table, chosen, signature)
    except BadInput as error:
        raise ConfigError(f"{path.name} does not fit the model: {error.message}") from error
    labels = None if table.labels is None else [_text(table.labels[index]) for index in chosen]
    return Rows(inputs, labels, len(chosen), table.total)


def part_of(total: int, part: str) -> list[int]:
    """The rows that are meant, in order: drawn by chance, always the same. None both calibrates and measures."""
    order = np.random.default_rng(0).permutation(total).tolist()
    if part == "all":
        return sorted(order[:MAX_MEASURED])
    calibrating = min(MAX_CALIBRATION, total // 2)
    chosen = order[:calibrating] if part == "calibration" else order[calibrating:][:MAX_MEASURED]
    return sorted(chosen)


def _text(label: Any) -> str:
    """A label as texts compare: 1, 1.0 and "1" are the same class."""
    if isinstance(label, float) and label.is_integer():
        return str(int(label))
    return str(label)


# --- rows → inputs


def _inputs(table: Table, chosen: Sequence[int], signature: Signature) -> dict[str, Array]:
    if table.arrays:
        return _from_arrays(table.arrays, chosen, signature)
    rows = [_row(table.rows[index], signature) for index in chosen]
    counting = msgspec.structs.replace(
        signature, batched=True, inputs=tuple(map(_counting(signature), signature.inputs))
    )
    return {name: tensor.array for name, tensor in rows_to_tensors(counting, rows).items()}


def _counting(signature: Signature) -> Callable[[TensorSpec], TensorSpec]:
    """Rows of a model that takes one at a time are put side by side, too."""

    def counting(spec: TensorSpec) -> TensorSpec:
        return spec if signature.batched else msgspec.structs.replace(spec, shape=(-1, *spec.shape))

    return counting


def _from_arrays(arrays: Mapping[str, Array], chosen: Sequence[int], signature: Signature) -> dict[str, Array]:
    wanted = signature.inputs
    named = dict(arrays)
    if len(wanted) == 1 and len(named) == 1:
        named = {wanted[0].name: next(iter(named.values()))}
    missing = [spec.name for spec in wanted if spec.name not in named and not spec.optional]
    if missing:
        raise BadInput(f"missing input: {', '.join(missing)}; it has {', '.join(filter(None, arrays)) or 'one array'}")
    given = [_counting(signature)(spec) for spec in wanted if spec.name in named]
    for spec in given:
        check_shape(spec, named[spec.name].shape)
    return {spec.name: _typed(named[spec.name][list(chosen)], spec) for spec in given}


def _typed(array: Array, spec: TensorSpec) -> Array:
    if spec.datatype == "BYTES":
        return bytes_array(array.astype(object))
    if array.dtype.kind not in "biuf":
        raise BadInput(f"input {spec.name!r} takes {spec.datatype}, not {array.dtype}")
    return np.ascontiguousarray(array, DTYPES[spec.datatype])


def _row(row: Any, signature: Signature) -> Any:
    """A row as the predict door takes it: columns are put together where the model has one input of several values."""
    if not isinstance(row, dict):
        return row
    if signature.task:
        return _text_row(row)
    first = signature.inputs[0]
    if len(signature.inputs) == 1 and first.name not in row:
        values = [_value(value, first) for value in row.values()]
        return values if len(first.shape) > 1 else values[0] if len(values) == 1 else row
    specs = {spec.name: spec for spec in signature.inputs}
    return {name: _value(value, specs[name]) for name, value in row.items() if name in specs}


def _text_row(row: Mapping[str, Any]) -> dict[str, str]:
    """Only the text, under its own name or in the only column, and what it is compared with."""
    texts = {name: value for name, value in row.items() if isinstance(value, str)}
    if TEXT not in texts and len(texts) == 1:
        texts = {TEXT: next(iter(texts.values()))}
    if TEXT not in texts:
        raise BadInput(f"it needs a column named {TEXT}; its columns are: {', '.join(map(str, row))}")
    return {name: texts[name] for name in (TEXT, PAIR) if name in texts}


def _value(value: Any, spec: TensorSpec) -> Any:
    """A CSV file's text as the number that the input takes."""
    if not isinstance(value, str) or spec.datatype == "BYTES":
        return value
    try:
        number = float(value) if value.strip() else float("nan")
    except ValueError:
        raise BadInput(f"input {spec.name!r} takes numbers, got {value[:40]!r}") from None
    return number if spec.datatype.startswith("FP") else int(number) if number.is_integer() else number
