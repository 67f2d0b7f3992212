"""Examples as people hold them (array, DataFrame, list of rows) as named arrays and input specs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from penstock.core.errors import BadInput
from penstock.core.rows import tensors_to_rows
from penstock.core.signature import Signature, TensorSpec, spec_of
from penstock.core.tensors import Array, Tensor, bytes_array, datatype_of

INPUT = "input"


def is_frame(example: object) -> bool:
    """Whether it is a pandas DataFrame (decided without importing pandas)."""
    return type(example).__name__ == "DataFrame" and hasattr(example, "columns")


def has_columns(example: object) -> bool:
    """Whether its inputs have names: a DataFrame, a dict of columns, a list of dicts."""
    return is_frame(example) or isinstance(example, Mapping) or _dict_rows(example)


def arrays_of(example: Any) -> dict[str, Array]:
    """An example as arrays by input name, rows first; unnamed input is called "input".

    Takes DataFrames, dicts of columns, lists of dicts (rows), arrays, tensors and lists. Plain Python
    numbers become FP64, since an example that happens to hold 3 must not refuse 3.5 later; arrays keep
    their own type. Raises `BadInput` for what has no datatype (dates, mixed columns).
    """
    if is_frame(example):
        return {str(name): series_array(example[name], str(name)) for name in example.columns}
    if isinstance(example, Mapping):
        return {str(name): to_array(values, str(name)) for name, values in example.items()}
    if _dict_rows(example):
        names = list(example[0])
        return {str(name): to_array([row[name] for row in example], str(name)) for name in names}
    return {INPUT: to_array(example, INPUT)}


def _dict_rows(example: object) -> bool:
    if not isinstance(example, (list, tuple)) or not example:
        return False
    return all(isinstance(row, Mapping) and row.keys() == example[0].keys() for row in example)


def inputs_of(arrays: Mapping[str, Array]) -> tuple[TensorSpec, ...]:
    """Input specs that fit named arrays, the first axis variable."""
    return tuple(spec_of(name, array, datatype_of(array)) for name, array in arrays.items())


def to_array(values: Any, name: str) -> Array:
    """One input's array; text as objects of `bytes`."""
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    elif hasattr(values, "toarray"):
        values = values.toarray()
    elif hasattr(values, "cat") or hasattr(values, "iloc"):
        return series_array(values, name)
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise BadInput(f"example: {name!r} is ragged; every row must have the same shape") from error
    if array.dtype.kind in "iu" and isinstance(values, (list, tuple)) and _plain(values):
        array = array.astype(np.float64)
    return checked(array, name)


def _plain(values: Sequence[Any]) -> bool:
    first: Any = values
    while isinstance(first, (list, tuple)) and first:
        first = first[0]
    return type(first) is int


def checked(array: Array, name: str) -> Array:
    """An array in a datatype of the protocol. Raises `BadInput` naming the input."""
    if array.dtype == object and all(_number(item) for item in array.reshape(-1)):
        array = array.astype(np.float64)
    try:
        return bytes_array(array) if datatype_of(array) == "BYTES" else array
    except BadInput as error:
        hint = "; hold mixed columns in a DataFrame, one type per column" if array.ndim > 1 else ""
        raise BadInput(f"example: {name!r}: {error.message}{hint}") from None


def _number(item: object) -> bool:
    return item is None or (isinstance(item, (int, float, np.number)) and not isinstance(item, bool))


def series_array(series: Any, name: str) -> Array:
    """A pandas column as an array: categories by their values, missing numbers as NaN."""
    if hasattr(series, "cat"):
        series = series.astype(series.cat.categories.dtype)
    kind = getattr(series.dtype, "kind", "O")
    values: Array
    if kind in "biuf":
        # pandas' own nullable numbers hold missing ones apart; numpy has NaN for them.
        values = series.to_numpy(dtype=np.float64, na_value=np.nan) if series.hasnans else np.asarray(series)
        return checked(values, name)
    values = series.to_numpy(dtype=object) if kind in "OTU" else series.to_numpy()
    if any(isinstance(value, (str, bytes)) for value in values):
        # A missing text has no form on the wire; in an example it may stand as an empty one.
        return bytes_array(["" if _missing(value) else value for value in values])
    return checked(values, name)


def _missing(value: object) -> bool:
    return value is None or value != value or type(value).__name__ == "NAType"


def rows_of(example: Any) -> list[Any] | None:
    """An example as rows the way the predict door takes them; None stays None."""
    if example is None:
        return None
    arrays = arrays_of(example)
    signature = Signature(inputs_of(arrays))
    return tensors_to_rows(signature, {s.name: Tensor(s.datatype, arrays[s.name]) for s in signature.inputs})
