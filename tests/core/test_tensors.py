"""Tensors and their bytes: there and back, and nothing hostile gets through."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from penstock.core.errors import BadInput
from penstock.core.tensors import (
    DTYPES,
    MAX_ELEMENTS,
    Tensor,
    bytes_array,
    count_elements,
    datatype_of,
    decode_bytes,
    encode_bytes,
    from_raw,
    object_array,
    to_raw,
)

NUMERIC = [name for name in DTYPES if name != "BYTES"]
texts = st.lists(st.binary(max_size=40), max_size=20)


@given(texts)
def test_bytes_there_and_back(elements: list[bytes]) -> None:
    shape = (len(elements),)
    raw = encode_bytes(object_array(elements, shape))
    assert len(raw) == sum(4 + len(element) for element in elements)
    assert decode_bytes(raw, shape).tolist() == elements
    assert decode_bytes(memoryview(raw), shape).tolist() == elements


def test_the_wire_form_of_bytes() -> None:
    assert encode_bytes(bytes_array(["é", b"\0"])) == b"\2\0\0\0\xc3\xa9\1\0\0\0\0"


def test_bytes_keep_their_shape_in_row_order() -> None:
    array = bytes_array([["a", "b", "c"], ["d", "", "f"]])
    back = decode_bytes(encode_bytes(array), (2, 3))
    assert back.tolist() == [[b"a", b"b", b"c"], [b"d", b"", b"f"]]


@given(st.binary(max_size=64), st.lists(st.integers(0, 5), max_size=3))
def test_any_bytes_are_decoded_exactly_or_refused(raw: bytes, shape: list[int]) -> None:
    try:
        array = decode_bytes(raw, shape)
    except BadInput:
        return
    assert array.shape == tuple(shape)
    assert encode_bytes(array) == raw


@pytest.mark.parametrize(
    ("raw", "shape"),
    [
        (b"\xff\xff\xff\xffabc", (1,)),
        (b"\4\0\0\0abc", (1,)),
        (b"\1\0\0", (1,)),
        (b"\0\0\0\0\1\0\0", (1,)),
        (b"\1\0\0\0a", (2,)),
        (b"\1\0\0\0a\1\0\0\0b", (1,)),
        (b"\0\0\0\0", (0,)),
        (b"", (1,)),
        (b"\0" * 8, (2**39,)),
        (b"", (-1,)),
    ],
)
def test_hostile_length_prefixes_are_refused(raw: bytes, shape: tuple[int, ...]) -> None:
    with pytest.raises(BadInput):
        decode_bytes(raw, shape)


@given(st.sampled_from(NUMERIC), hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4), st.data())
def test_numbers_there_and_back(datatype: str, shape: tuple[int, ...], data: st.DataObject) -> None:
    dtype = DTYPES[datatype]
    size = math.prod(shape) * dtype.itemsize
    raw = data.draw(st.binary(min_size=size, max_size=size))
    if datatype == "BOOL":
        raw = bytes(byte & 1 for byte in raw)
    array = from_raw(datatype, shape, raw)
    assert (array.dtype, array.shape) == (dtype, shape)
    assert bytes(to_raw(Tensor(datatype, array))) == raw
    if datatype != "BF16":
        assert datatype_of(array) == datatype


@pytest.mark.parametrize("datatype", NUMERIC)
def test_a_byte_too_many_or_too_few_is_refused(datatype: str) -> None:
    size = 3 * DTYPES[datatype].itemsize
    for wrong in (size - 1, size + 1, 0):
        with pytest.raises(BadInput, match=f"needs {size} bytes, got {wrong}"):
            from_raw(datatype, (3,), b"\1" * wrong)


def test_any_memory_layout_goes_out_in_row_order() -> None:
    array = np.asfortranarray(np.arange(6, dtype="<i4").reshape(2, 3))
    assert bytes(to_raw(Tensor("INT32", array))) == np.arange(6, dtype="<i4").tobytes()


def test_received_numbers_are_not_copied() -> None:
    raw = bytearray(8)
    array = from_raw("UINT8", (8,), raw)
    raw[3] = 7
    assert array[3] == 7


@pytest.mark.parametrize(
    "shape", [[2**4, 2**60 + 2], [2**32, 2**32], [-1], [3, -1, 0], [-1, -1], [MAX_ELEMENTS + 1], [2**64], [2**63, 2]]
)
def test_shapes_that_overflow_or_are_negative_are_refused(shape: list[int]) -> None:
    with pytest.raises(BadInput):
        count_elements(shape)
    for datatype in ("INT64", "BYTES"):
        with pytest.raises(BadInput):
            from_raw(datatype, shape, b"\0" * 256)


@pytest.mark.parametrize(("shape", "count"), [([], 1), ([0, 2**62], 0), ([2, 3], 6), ([MAX_ELEMENTS], MAX_ELEMENTS)])
def test_elements_are_counted_exactly(shape: list[int], count: int) -> None:
    assert count_elements(shape) == count


def test_an_unknown_datatype_is_refused_briefly() -> None:
    with pytest.raises(BadInput, match="known are BOOL") as refusal:
        from_raw("X" * 10_000, (1,), b"\0")
    assert len(refusal.value.message) < 300


@pytest.mark.parametrize(
    ("values", "datatype"),
    [
        ([1, 2], "INT64"),
        ([1.5], "FP64"),
        ([True], "BOOL"),
        (["a", "b"], "BYTES"),
        ([b"a"], "BYTES"),
        (np.float16(1), "FP16"),
        (np.array([1], ">i4"), "INT32"),
        (np.array(["a", b"b"], object), "BYTES"),
        (np.zeros((2, 0), np.uint16), "UINT16"),
    ],
)
def test_anything_numpy_understands(values: object, datatype: str) -> None:
    tensor = Tensor.of(values)
    assert tensor.datatype == datatype
    assert tensor.array.dtype == DTYPES[datatype]
    assert tensor.array.shape == np.asarray(values).shape


def test_other_byte_orders_keep_their_values() -> None:
    assert Tensor.of(np.array([1, 258], ">i4")).array.tolist() == [1, 258]


@pytest.mark.parametrize("values", [[1j], np.array(["2020-01-01"], "M8[D]"), [None], [object()], [{}], [1, "a", None]])
def test_what_the_protocol_has_no_name_for_is_refused(values: object) -> None:
    with pytest.raises(BadInput):
        Tensor.of(values)


def test_a_lone_surrogate_is_refused() -> None:
    with pytest.raises(BadInput, match="surrogate"):
        bytes_array(["\ud800"])


def test_nul_and_unicode_survive() -> None:
    assert Tensor.of(["a\0b", "日本"]).array.tolist() == [b"a\0b", "日本".encode()]


def test_a_bool_is_zero_or_one() -> None:
    assert from_raw("BOOL", [2], b"\x00\x01").tolist() == [False, True]
    assert from_raw("BOOL", [0], b"").tolist() == []
    with pytest.raises(BadInput, match="0 or 1"):
        from_raw("BOOL", [3], b"\x00\x02\xff")
