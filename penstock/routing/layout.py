"""How a row of outputs is kept: a copy of its bytes, packed; and how rows become outputs again. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat
from math import prod
from typing import Any, NamedTuple

import msgspec
import numpy as np

from penstock.core.tensors import Tensor, Tensors, object_array
from penstock.telemetry.caching import CacheCounts

Form = tuple[tuple[str, str, "np.dtype[Any]", tuple[int, ...]], ...]
"""Name, datatype, dtype and shape of a row, of every output in order."""


class Row(msgspec.Struct, gc=False, eq=False):
    """The outputs of one row: `numbers` of all of them in one piece, `texts` the elements of the BYTES ones.

    It holds no arrays: these would cost a hundred bytes each, and keep whole batches alive.
    """

    layout: Layout
    numbers: bytes
    texts: tuple[bytes, ...] = ()


class Column(NamedTuple):
    """One output: where its elements begin among a row's bytes, or (BYTES) among its texts, and how many they are."""

    name: str
    datatype: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    start: int
    size: int
    width: int

    @property
    def stop(self) -> int:
        """Behind the last byte, or text."""
        return self.start + (self.width or self.size)


class Layout:
    """Packs rows of one form. `counts`: where the rows are counted; `kept`: whether they are worth keeping."""

    def __init__(self, form: Form, counts: CacheCounts, *, kept: bool = True):
        self.counts = counts
        self.kept = kept
        self._columns = _columns(form)
        self._numeric = [column for column in self._columns if column.width]
        self._textual = [column for column in self._columns if column.dtype.hasobject]
        self._width = sum(column.width for column in self._numeric)

    def split(self, outputs: Tensors, count: int) -> list[Row]:
        """The rows of outputs of this form; `count` is their number."""
        texts = self._texts(outputs, count) if self._textual else repeat(())
        return list(map(Row, repeat(self), self._numbers(outputs, count), texts))

    def _numbers(self, outputs: Tensors, count: int) -> list[bytes]:
        width, columns = self._width, self._numeric
        if not width:
            return [b""] * count
        if len(columns) == 1:
            raw = outputs[columns[0].name].array.tobytes()
        else:
            table = np.empty((count, width), np.uint8)
            for column in columns:
                array = np.ascontiguousarray(outputs[column.name].array).reshape(count, -1)
                table[:, column.start : column.stop] = array.view(np.uint8)
            raw = table.tobytes()
        return [raw[at : at + width] for at in range(0, count * width, width)]

    def _texts(self, outputs: Tensors, count: int) -> list[tuple[bytes, ...]]:
        parts = [outputs[column.name].array.reshape(count, column.size) for column in self._textual]
        return list(map(tuple, np.concatenate(parts, axis=1).tolist()))

    def join(self, rows: Sequence[Row]) -> Tensors:
        """Outputs of these rows, in order. Numbers are read-only."""
        if len(rows) == 1:
            return {column[0]: Tensor(column[1], _one(column, rows[0])) for column in self._columns}
        numbers = np.frombuffer(b"".join([row.numbers for row in rows]), np.uint8).reshape(len(rows), self._width)
        return {column.name: Tensor(column.datatype, _many(column, rows, numbers)) for column in self._columns}


def joined(rows: Sequence[Row]) -> Tensors | None:
    """Outputs of these rows, in order; None when their shapes differ, so that no array can hold them."""
    layouts = {row.layout for row in rows}
    return rows[0].layout.join(rows) if len(layouts) == 1 else None


def form_of(outputs: Tensors) -> Form:
    """The form of a batch's outputs."""
    return tuple((name, datatype, array.dtype, array.shape[1:]) for name, (datatype, array) in outputs.items())


def _columns(form: Form) -> list[Column]:
    """The widest elements come first among a row's bytes, so that all are aligned."""
    starts: dict[str, int] = {}
    numbers = texts = 0
    for name, _, dtype, shape in sorted(form, key=lambda output: -output[2].itemsize):
        if dtype.hasobject:
            starts[name], texts = texts, texts + prod(shape)
        else:
            starts[name], numbers = numbers, numbers + prod(shape) * dtype.itemsize
    return [
        Column(name, datatype, dtype, shape, starts[name], size := prod(shape), _width(dtype, size))
        for name, datatype, dtype, shape in form
    ]


def _width(dtype: np.dtype[Any], size: int) -> int:
    return 0 if dtype.hasobject else size * dtype.itemsize


def _one(column: Column, row: Row) -> np.ndarray[Any, Any]:
    _, _, dtype, shape, start, size, width = column
    if width:
        return np.frombuffer(row.numbers, dtype, size, start).reshape(1, *shape)
    return _many(column, (row,), _NO_NUMBERS)


def _many(column: Column, rows: Sequence[Row], numbers: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    shape = (len(rows), *column.shape)
    if column.dtype.hasobject:
        return object_array([text for row in rows for text in row.texts[column.start : column.stop]], shape)
    if not column.width:
        return np.empty(shape, column.dtype)
    return np.ascontiguousarray(numbers[:, column.start : column.stop]).view(column.dtype).reshape(shape)


_NO_NUMBERS = np.empty((0, 0), np.uint8)
