"""Rows as people write them: exactly what they mean, or a refusal that says where."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.errors import BadInput
from penstock.core.rows import MAX_DEPTH, array_from_json, bf16_to_fp32, rows_to_tensors, tensors_to_rows, to_json
from penstock.core.signature import Signature, TensorSpec
from penstock.core.tensors import DTYPES, Tensor

FLAT = Signature((TensorSpec("x", "FP32", (-1, 2)),))
COLUMNS = Signature(
    (
        TensorSpec("age", "INT64", (-1, 1)),
        TensorSpec("name", "BYTES", (-1, 1)),
        TensorSpec("score", "FP64", (-1, 1), optional=True),
    )
)


def spec(datatype: str, *shape: int) -> Signature:
    return Signature((TensorSpec("x", datatype, shape),))


def test_a_row_is_the_value_of_the_only_input() -> None:
    tensor = rows_to_tensors(FLAT, [[1, 2.5], [3, 4]])["x"]
    assert tensor.datatype == "FP32"
    assert tensor.array.dtype == np.float32
    assert tensor.array.tolist() == [[1, 2.5], [3, 4]]


def test_a_row_may_name_the_only_input() -> None:
    assert rows_to_tensors(FLAT, [{"x": [1, 2]}])["x"].array.tolist() == [[1, 2]]


def test_texts_and_scalars() -> None:
    assert rows_to_tensors(spec("BYTES", -1), ["a", "é"])["x"].array.tolist() == [b"a", "é".encode()]
    assert rows_to_tensors(spec("BYTES", -1, 1), ["a", "b"])["x"].array.tolist() == [[b"a"], [b"b"]]
    assert rows_to_tensors(spec("INT8", -1, 1), [1, -128])["x"].array.tolist() == [[1], [-128]]
    assert rows_to_tensors(spec("INT8", -1, 1), [[1], [2]])["x"].array.tolist() == [[1], [2]]


def test_mixed_columns_by_name_in_any_order_or_by_position() -> None:
    expected = {"age": [[1], [2]], "name": [[b"a"], [b"b"]], "score": [[0.5], [1.0]]}
    by_name = [{"name": "a", "age": 1, "score": 0.5}, {"score": 1, "age": 2, "name": "b"}]
    for rows in (by_name, [[1, "a", 0.5], [2, "b", 1]]):
        tensors = rows_to_tensors(COLUMNS, rows)
        assert {name: tensor.array.tolist() for name, tensor in tensors.items()} == expected


def test_an_optional_column_may_be_left_out_of_every_row() -> None:
    assert set(rows_to_tensors(COLUMNS, [{"age": 1, "name": "a"}])) == {"age", "name"}


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([], "empty"),
        ([{"age": 1}], "row 0: column 'name' is missing"),
        ([{"age": 1, "name": "a"}, {"age": 1}], "row 1: column 'name' is missing"),
        ([{"age": 1, "name": "a", "nam": 1}], "row 0: unknown column nam"),
        ([{"age": 1, "name": "a", "score": 1.0}, {"age": 1, "name": "a"}], "'score' is in some rows"),
        ([{"age": 1, "name": "a"}, 5], "row 1 must be an object"),
        ([[1, "a"]], "row 0 must be an object"),
        ([{"age": "1", "name": "a"}], "'age'.*INT64 takes int, got str"),
        ([{"age": 1, "name": 7}], "'name'.*text or bytes"),
        ([{"age": None, "name": "a"}], "'age'.*INT64 takes int, got null as value 0"),
        ([{"age": [1, 2], "name": "a"}], "'age' must have shape"),
    ],
)
def test_wrong_columns_say_where(rows: list[Any], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        rows_to_tensors(COLUMNS, rows)


@pytest.mark.parametrize(
    ("datatype", "value"),
    [
        ("INT32", 1.5),
        ("INT32", float("nan")),
        ("INT32", None),
        ("INT32", 2**31),
        ("UINT8", 300),
        ("UINT8", -1),
        ("INT64", 2**63),
        ("UINT64", 2**64),
        pytest.param("INT8", 10**5000, id="5000 digits"),
        ("INT64", True),
        ("FP32", True),
        ("FP32", "1"),
        ("FP32", 1e39),
        ("FP64", 10**400),
        ("FP32", float("inf")),
        ("FP16", 1e6),
        ("BF16", 1.0),
        ("BOOL", 1),
        ("BOOL", "true"),
        ("BYTES", 1),
        ("BYTES", True),
        ("BYTES", None),
        ("BYTES", "\ud800"),
    ],
)
def test_values_that_do_not_belong_are_refused(datatype: str, value: object) -> None:
    with pytest.raises(BadInput):
        array_from_json(datatype, [value])
    with pytest.raises(BadInput, match="input 'x'"):
        rows_to_tensors(spec(datatype, -1), [value])


def test_null_is_nan_and_whole_floats_are_integers() -> None:
    floats = array_from_json("FP64", [1, None, 2.5])
    assert np.isnan(floats).tolist() == [False, True, False]
    assert array_from_json("INT16", [22.0, -3]).tolist() == [22, -3]
    with pytest.raises(BadInput, match=r"takes whole numbers, got 7.25 as value 1"):
        array_from_json("INT64", [7, 7.25])
    with pytest.raises(BadInput, match="out of the range of INT64"):
        array_from_json("INT64", [1e30])


@pytest.mark.parametrize("datatype", [name for name in DTYPES if DTYPES[name].kind in "iu" and name != "BF16"])
def test_the_limits_of_integers_belong(datatype: str) -> None:
    limits = np.iinfo(DTYPES[datatype])
    assert array_from_json(datatype, [int(limits.min), int(limits.max)]).tolist() == [limits.min, limits.max]


@pytest.mark.parametrize(
    "values",
    [[[1], [2, 3]], [[1, 2], 3], [1, [2]], [[[1]], [1]], [[], [1]], [{"a": 1}], [[1], None], [[1, {}]]],
)
def test_ragged_nesting_is_refused(values: list[Any]) -> None:
    with pytest.raises(BadInput):
        array_from_json("INT64", values)


def test_nesting_is_bounded() -> None:
    deep: Any = 1
    for _ in range(MAX_DEPTH):
        deep = [deep]
    assert array_from_json("INT64", deep).shape == (1,) * MAX_DEPTH
    with pytest.raises(BadInput, match="deeper"):
        array_from_json("INT64", [deep])


@pytest.mark.parametrize("rows", [[[1]], [[1, 2, 3]], [1, 2], [[[1, 2]]], [[]]])
def test_rows_of_another_shape_are_refused(rows: list[Any]) -> None:
    with pytest.raises(BadInput):
        rows_to_tensors(FLAT, rows)


def test_a_model_without_a_batch_axis_takes_one_at_a_time() -> None:
    signature = Signature((TensorSpec("x", "FP32", (2, -1)),), batched=False)
    assert rows_to_tensors(signature, [[[1, 2, 3], [4, 5, 6]]])["x"].array.shape == (2, 3)
    with pytest.raises(BadInput, match="one input at a time"):
        rows_to_tensors(signature, [[[1], [2]], [[1], [2]]])


@given(st.lists(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=2, max_size=2), min_size=1, max_size=8))
def test_integers_there_and_back(rows: list[list[int]]) -> None:
    signature = Signature((TensorSpec("x", "INT64", (-1, 2)),), (TensorSpec("y", "INT64", (-1, 2)),))
    tensors = rows_to_tensors(signature, rows)
    assert tensors_to_rows(signature, {"y": tensors["x"]}) == rows


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=8))
def test_texts_there_and_back(rows: list[str]) -> None:
    signature = spec("BYTES", -1)
    assert tensors_to_rows(signature, rows_to_tensors(signature, rows)) == rows


def test_several_outputs_become_one_object_per_row() -> None:
    outputs = {"label": Tensor.of(["a", "b"]), "p": Tensor("FP32", np.array([[0.5, 0.5], [0.25, 0.75]], np.float32))}
    assert tensors_to_rows(FLAT, outputs) == [{"label": "a", "p": [0.5, 0.5]}, {"label": "b", "p": [0.25, 0.75]}]


def test_outputs_without_a_batch_axis_are_one_row() -> None:
    signature = Signature((), batched=False)
    a, b = Tensor.of([1, 2, 3]), Tensor.of([4])
    assert tensors_to_rows(signature, {"a": a}) == [[1, 2, 3]]
    assert tensors_to_rows(signature, {"a": a, "b": b}) == [{"a": [1, 2, 3], "b": [4]}]


def test_bf16_and_invalid_text_have_a_json_form() -> None:
    bits = np.array([0x3F80, 0xC020], "<u2")
    assert bf16_to_fp32(bits).tolist() == [1.0, -2.5]
    assert to_json(Tensor("BF16", bits)) == [1.0, -2.5]
    assert to_json(Tensor.of([[b"\xff", b"ok"]])) == [["\ufffd", "ok"]]
