"""Rows of outputs: packed as copies, and put together again as they were."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.tensors import DTYPES, Array, Tensor, Tensors, object_array
from penstock.routing.layout import Layout, form_of, joined
from penstock.telemetry.caching import CacheCounts


@st.composite
def outputs(draw: st.DrawFn) -> tuple[Tensors, int]:
    """Outputs of any datatypes and shapes, and the number of rows."""
    count = draw(st.integers(1, 4))
    chosen = draw(st.lists(st.sampled_from(sorted(DTYPES)), max_size=5))
    tensors = {}
    for place, datatype in enumerate(chosen):
        shape = (count, *draw(st.sampled_from([(), (1,), (3,), (2, 2), (0,), (2, 0)])))
        seed = draw(st.integers(0, 1000))
        tensors[f"y{place}"] = Tensor(datatype, values(datatype, shape, seed))
    return tensors, count


def values(datatype: str, shape: tuple[int, ...], seed: int) -> Array:
    rng = np.random.default_rng(seed)
    size = int(np.prod(shape))
    if datatype == "BYTES":
        return object_array([rng.bytes(int(length)) for length in rng.integers(0, 5, size)], shape)
    return (rng.integers(0, 2, shape) if datatype == "BOOL" else rng.random(shape) * 100).astype(DTYPES[datatype])


def same(one: Tensors, other: Tensors) -> None:
    assert list(one) == list(other)
    for name, tensor in one.items():
        assert tensor.datatype == other[name].datatype
        assert tensor.array.dtype == other[name].array.dtype
        assert tensor.array.shape == other[name].array.shape
        assert tensor.array.tolist() == other[name].array.tolist()


@given(outputs(), st.randoms(use_true_random=False))
def test_rows_come_back_as_they_were_in_any_order(drawn: tuple[Tensors, int], chance: Any) -> None:
    tensors, count = drawn
    rows = Layout(form_of(tensors), CacheCounts()).split(tensors, count)
    same(joined(rows) or {}, tensors)
    order = [chance.randrange(count) for _ in range(chance.randint(1, 6))]
    expected = {name: Tensor(tensor.datatype, tensor.array[order]) for name, tensor in tensors.items()}
    same(joined([rows[place] for place in order]) or {}, expected)


def test_rows_are_copies() -> None:
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    tensors = {"y": Tensor("FP32", array), "n": Tensor("INT64", np.arange(3))}
    rows = Layout(form_of(tensors), CacheCounts()).split(tensors, 3)
    array[:] = -1
    together = joined(rows[1:2])
    assert together is not None
    assert together["y"].array.tolist() == [[4, 5, 6, 7]]
    with pytest.raises(ValueError, match="read-only"):
        together["y"].array[0] = 0


def test_arrays_are_aligned() -> None:
    tensors = {"b": Tensor("BOOL", np.array([True])), "d": Tensor("FP64", np.array([1.5]))}
    together = joined(Layout(form_of(tensors), CacheCounts()).split(tensors, 1))
    assert together is not None
    assert all(tensor.array.flags.aligned for tensor in together.values())


def test_rows_of_different_shapes_do_not_fit_together() -> None:
    rows = []
    for width in (2, 3):
        tensors = {"y": Tensor("FP32", np.ones((1, width), np.float32))}
        rows += Layout(form_of(tensors), CacheCounts()).split(tensors, 1)
    assert joined(rows) is None
    assert joined(rows[:1]) is not None
