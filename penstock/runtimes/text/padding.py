"""Rows of token ids side by side, filled up to one shape."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from penstock.core.tensors import Array
from penstock.runtimes.text.plan import Micro
from penstock.runtimes.text.reading import Row


def padded(rows: Sequence[Row], micro: Micro, pad: int) -> tuple[Array, Array, Array | None]:
    """Ids, mask (1 at tokens) and types (None where all are 0), [rows, length] int64 each. `pad`: what fills up."""
    shape = (micro.rows, micro.length)
    ids = np.full(shape, pad, np.int64)
    # A row that only fills up has one token, as a mask of nothing but zeros makes NaN.
    lengths = np.ones((micro.rows, 1), np.int64)
    for at, row in enumerate(rows):
        lengths[at] = len(row.ids)
        ids[at, : len(row.ids)] = row.ids
    mask = (np.arange(micro.length) < lengths).astype(np.int64)
    return ids, mask, _types(rows, shape)


def _types(rows: Sequence[Row], shape: tuple[int, int]) -> Array | None:
    if all(row.types is None for row in rows):
        return None
    types = np.zeros(shape, np.int64)
    for at, row in enumerate(rows):
        if row.types is not None:
            types[at, : len(row.types)] = row.types
    return types
