"""Rows that a person gives to calibrate and measure by: CSV, JSON, text and NumPy files, as a model takes them."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from penstock.conversion.jobs import Sample
from penstock.core.errors import BadInput, ConfigError
from penstock.core.rows import rows_to_tensors
from penstock.core.signature import Signature, TensorSpec, check_shape
from penstock.core.tensors import DTYPES, Array, bytes_array
from penstock.core.text import PAIR, TEXT

KINDS = ".csv, .jsonl, .json, .txt (one text per line), .npy and .npz"
LABEL = "label"
MAX_BYTES = 2**30
MAX_CALIBRATION = 300
MAX_MEASURED = 2000
MIN_ROWS = 10


class Rows(NamedTuple):
    """Inputs by name, the labels (as texts) where there are any, and how many rows the file has."""

    inputs: dict[str, Array]
    labels: list[str] | None
    chosen: int
    total: int


class _Table(NamedTuple):
    """A file's rows: as rows, or as whole arrays by name ("" in a .npy file)."""

    rows: list[Any]
    arrays: dict[str, Array]
    labels: list[Any] | None

    @property
    def total(self) -> int:
        return len(self.rows) if self.rows else min(map(len, self.arrays.values()), default=0)


def read(sample: Sample, signature: Signature) -> Rows:
    """The part of a file that is meant, as the model takes it. Raises `ConfigError` that says what is wrong."""
    path = Path(sample.file)
    table = _table(path, sample.label)
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


# --- files


def check_file(path: Path) -> None:
    """Raises `ConfigError` unless the file is there, of a kind that is read, and not too large."""
    if path.suffix.lower() not in _READERS:
        raise ConfigError(f"{path.name} is not data that can be read: give {KINDS}")
    if not path.is_file():
        raise ConfigError(f"there is no {path}")
    if path.stat().st_size > MAX_BYTES:
        raise ConfigError(f"{path.name} is over {MAX_BYTES // 2**20} MB; a few thousand rows are enough")


def _table(path: Path, label: str | None) -> _Table:
    check_file(path)
    try:
        read_file = _READERS[path.suffix.lower()]
        return _labelled(read_file(path), label, path.name)
    except (OSError, ValueError, csv.Error, msgspec.DecodeError) as error:
        raise ConfigError(f"{path.name} cannot be read: {str(error).splitlines()[0][:200]}") from error


def _csv(path: Path) -> _Table:
    reader = csv.DictReader(io.StringIO(path.read_text("utf-8-sig"), newline=""), strict=True)
    rows = list(reader)
    if any(None in row or None in row.values() for row in rows):
        raise ValueError("its rows have different numbers of columns")
    return _Table(rows, {}, None)


def _jsonl(path: Path) -> _Table:
    return _Table([msgspec.json.decode(line) for line in path.read_bytes().splitlines() if line.strip()], {}, None)


def _json(path: Path) -> _Table:
    rows = msgspec.json.decode(path.read_bytes())
    if not isinstance(rows, list):
        raise ValueError("it must hold a list of rows")
    return _Table(rows, {}, None)


def _txt(path: Path) -> _Table:
    return _Table([line for line in path.read_text("utf-8-sig").splitlines() if line.strip()], {}, None)


def _npy(path: Path) -> _Table:
    return _Table([], {"": np.load(path, allow_pickle=False)}, None)


def _npz(path: Path) -> _Table:
    with np.load(path, allow_pickle=False) as arrays:
        return _Table([], dict(arrays), None)


_READERS = {".csv": _csv, ".jsonl": _jsonl, ".ndjson": _jsonl, ".json": _json, ".txt": _txt, ".npy": _npy, ".npz": _npz}


def _labelled(table: _Table, label: str | None, file: str) -> _Table:
    """The table with its labels taken out. Raises `ConfigError` when there is no column of the name that was given."""
    name = label or LABEL
    if table.arrays:
        labels = table.arrays.pop(name).tolist() if name in table.arrays else None
    elif table.rows and all(isinstance(row, dict) and name in row for row in table.rows):
        labels = [row.pop(name) for row in table.rows]
    else:
        labels = None
    if labels is None and label is not None:
        known = ", ".join(_names(table)) or "none with a name"
        raise ConfigError(f"{file} has no column {label!r} in every row; its columns are: {known}")
    return table._replace(labels=labels)


def _names(table: _Table) -> list[str]:
    first = table.rows[0] if table.rows else table.arrays
    return [str(name) for name in first if name] if isinstance(first, dict) else []


def _text(label: Any) -> str:
    """A label as texts compare: 1, 1.0 and "1" are the same class."""
    if isinstance(label, float) and label.is_integer():
        return str(int(label))
    return str(label)


# --- rows → inputs


def _inputs(table: _Table, chosen: Sequence[int], signature: Signature) -> dict[str, Array]:
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
