"""Columns from requests as the matrix or DataFrame that an estimator was fitted on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from penstock.core.errors import BadInput, MissingExtra
from penstock.core.tensors import Array, object_array


def texts(array: Array, name: str) -> list[str]:
    """BYTES elements as text. Raises `BadInput` when one is not UTF-8. array: [rows]."""
    try:
        return [item.decode() if isinstance(item, bytes) else item for item in array.tolist()]
    except UnicodeDecodeError as error:
        raise BadInput(f"input {name!r} holds text that is not valid UTF-8") from error


def text_array(array: Array, name: str) -> Array:
    """BYTES of any shape as an object array of `str`."""
    return object_array(texts(array.reshape(-1), name), array.shape)


def matrix(inputs: Mapping[str, Array], names: Sequence[str], dtype: Any) -> Array:
    """Columns [rows] side by side: [rows, columns]; one [rows, n] input as it is."""
    if len(names) == 1 and inputs[names[0]].ndim == 2:
        return inputs[names[0]]
    return np.column_stack([inputs[name].astype(dtype, copy=False) for name in names])


def frame(inputs: Mapping[str, Array], names: Sequence[str], categories: Mapping[str, Sequence[Any]]) -> Any:
    """A DataFrame with these columns in this order; `categories`: the values of categorical columns.

    Raises `BadInput` for a value that is none of its column's categories.
    """
    pandas = _pandas()
    columns = {name: _column(inputs[name], name) for name in names}
    for name, known in categories.items():
        column = pandas.Categorical(columns[name], categories=list(known))
        if (column.codes < 0).any():
            raise BadInput(f"input {name!r} takes only: {', '.join(map(str, known))[:500]}")
        columns[name] = column
    return pandas.DataFrame(columns, copy=False)


def _column(array: Array, name: str) -> Array:
    array = array.reshape(len(array)) if array.ndim == 2 and array.shape[1] == 1 else array
    return text_array(array, name) if array.dtype == object else array


def _pandas() -> Any:
    try:
        import pandas
    except ImportError as error:
        raise MissingExtra("models with named columns need the extra: pip install 'penstock[sklearn]'") from error
    return pandas
