"""Files of rows, as they are: CSV, JSON, text and NumPy files, their labels set apart."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from penstock.core.errors import ConfigError
from penstock.core.tensors import Array

KINDS = ".csv, .jsonl, .json, .txt (one text per line), .npy and .npz"
LABEL = "label"
MAX_BYTES = 2**30


class Table(NamedTuple):
    """A file's rows: as rows, or as whole arrays by name ("" in a .npy file)."""

    rows: list[Any]
    arrays: dict[str, Array]
    labels: list[Any] | None

    @property
    def total(self) -> int:
        """How many rows there are."""
        return len(self.rows) if self.rows else min(map(len, self.arrays.values()), default=0)


def check_file(path: Path) -> None:
    """Raises `ConfigError` unless the file is there, of a kind that is read, and not too large."""
    if path.suffix.lower() not in _READERS:
        raise ConfigError(f"{path.name} is not data that can be read: give {KINDS}")
    if not path.is_file():
        raise ConfigError(f"there is no {path}")
    if path.stat().st_size > MAX_BYTES:
        raise ConfigError(f"{path.name} is over {MAX_BYTES // 2**20} MB; a few thousand rows are enough")


def read_table(path: Path, label: str | None) -> Table:
    """A file's rows; `label`: the column of the labels, by default the one named label, if there is one.

    Raises `ConfigError` for files that cannot be read, and for a column that is not there.
    """
    check_file(path)
    try:
        read_file = _READERS[path.suffix.lower()]
        return _labelled(read_file(path), label, path.name)
    except (OSError, ValueError, EOFError, RecursionError, csv.Error, zipfile.BadZipFile) as error:
        raise ConfigError(f"{path.name} cannot be read: {str(error).splitlines()[0][:200]}") from error


def _csv(path: Path) -> Table:
    reader = csv.DictReader(io.StringIO(path.read_text("utf-8-sig"), newline=""), strict=True)
    rows = list(reader)
    if any(None in row or None in row.values() for row in rows):
        raise ValueError("its rows have different numbers of columns")
    return Table(rows, {}, None)


def _jsonl(path: Path) -> Table:
    return Table([msgspec.json.decode(line) for line in path.read_bytes().splitlines() if line.strip()], {}, None)


def _json(path: Path) -> Table:
    rows = msgspec.json.decode(path.read_bytes())
    if not isinstance(rows, list):
        raise ValueError("it must hold a list of rows")
    return Table(rows, {}, None)


def _txt(path: Path) -> Table:
    return Table([line for line in path.read_text("utf-8-sig").split("\n") if line.strip()], {}, None)


def _npy(path: Path) -> Table:
    with path.open("rb") as file:
        return Table([], {"": np.load(file, allow_pickle=False)}, None)


def _npz(path: Path) -> Table:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return Table([], dict(arrays), None)


_READERS = {".csv": _csv, ".jsonl": _jsonl, ".ndjson": _jsonl, ".json": _json, ".txt": _txt, ".npy": _npy, ".npz": _npz}


def _labelled(table: Table, label: str | None, file: str) -> Table:
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


def _names(table: Table) -> list[str]:
    first = table.rows[0] if table.rows else table.arrays
    return [str(name) for name in first if name] if isinstance(first, dict) else []
