"""Keys of rows: equal exactly when everything that an answer may depend on is equal."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.signature import Signature, TensorSpec
from penstock.core.tensors import Tensor, Tensors, object_array
from penstock.routing.row_keys import LONGEST, RowKeys

SIGNATURE = Signature(
    (
        TensorSpec("text", "BYTES", (-1,)),
        TensorSpec("pair", "BYTES", (-1,), optional=True),
        TensorSpec("words", "BYTES", (-1, 2), optional=True),
        TensorSpec("image", "UINT8", (-1, -1, -1), optional=True),
        TensorSpec("flag", "BOOL", (-1,), optional=True),
        TensorSpec("nothing", "FP32", (-1, 0), optional=True),
    )
)
SHORT = st.binary(max_size=3) | st.sampled_from([b"", b"\0", b"=", b"#", b"a" * 300, b"a" * 301])
Row = tuple[Any, ...]


@st.composite
def requests(draw: st.DrawFn) -> tuple[Tensors, str | None, list[Row]]:
    """A request, its tenant, and what makes each of its rows."""
    count = draw(st.integers(1, 3))
    height, width = draw(st.sampled_from([(1, 2), (2, 1), (1, 1), (0, 3)]))
    present = [spec.name for spec in SIGNATURE.inputs if draw(st.booleans())] or ["text"]
    tenant = draw(st.sampled_from([None, "", "a", "ab"]))
    columns: dict[str, list[Any]] = {}
    tensors: dict[str, Tensor] = {}
    for name in draw(st.permutations(present)):
        if name in ("text", "pair"):
            columns[name] = draw(st.lists(SHORT, min_size=count, max_size=count))
            tensors[name] = Tensor("BYTES", object_array(columns[name], (count,)))
        elif name == "words":
            flat = draw(st.lists(SHORT, min_size=2 * count, max_size=2 * count))
            columns[name] = [tuple(flat[at : at + 2]) for at in range(0, 2 * count, 2)]
            tensors[name] = Tensor("BYTES", object_array(flat, (count, 2)))
        elif name == "image":
            size = height * width
            rows = draw(st.lists(st.binary(min_size=size, max_size=size), min_size=count, max_size=count))
            columns[name] = [(height, width, row) for row in rows]
            array = np.frombuffer(b"".join(rows), np.uint8).reshape(count, height, width)
            # Not laid out row by row: bytes must be those of the values, not of the memory.
            tensors[name] = Tensor("UINT8", np.asfortranarray(array))
        elif name == "flag":
            columns[name] = draw(st.lists(st.booleans(), min_size=count, max_size=count))
            tensors[name] = Tensor("BOOL", np.array(columns[name], np.bool_))
        else:
            columns[name] = [()] * count
            tensors[name] = Tensor("FP32", np.zeros((count, 0), np.float32))
    rows = [(tenant, *((name, columns[name][at]) for name in sorted(columns))) for at in range(count)]
    return tensors, tenant, rows


@given(st.lists(requests(), min_size=2, max_size=4))
def test_keys_are_equal_exactly_when_rows_are(drawn: list[tuple[Tensors, str | None, list[Row]]]) -> None:
    keys = RowKeys(SIGNATURE, 7)
    seen: dict[bytes, Row] = {}
    for tensors, tenant, rows in drawn:
        for key, row in zip(keys.of(tensors, tenant), rows, strict=True):
            assert seen.setdefault(key, row) == row
    assert len(set(seen.values())) == len(seen)


@given(requests())
def test_versions_share_no_keys(drawn: tuple[Tensors, str | None, list[Row]]) -> None:
    tensors, tenant, _ = drawn
    first, second = (set(RowKeys(SIGNATURE, number).of(tensors, tenant)) for number in (1, 2))
    assert not first & second


def test_long_rows_have_short_keys_and_short_ones_are_exact() -> None:
    def key_of(text: bytes) -> bytes:
        tensors = {"text": Tensor("BYTES", object_array([text], (1,)))}
        (key,) = RowKeys(SIGNATURE, 0).of(tensors, None)
        return key

    assert key_of(b"running shoes").endswith(b"running shoes")
    assert len(key_of(b"x" * 10**6)) < 64
    assert max(len(key_of(b"x" * size)) for size in range(LONGEST + 50)) <= LONGEST


def test_values_that_compare_equal_but_are_not_have_keys_of_their_own() -> None:
    keys = RowKeys(Signature((TensorSpec("x", "FP64", (-1,)),)), 0)
    zero, minus, nan, again = keys.of({"x": Tensor("FP64", np.array([0.0, -0.0, np.nan, np.nan]))}, None)
    assert zero != minus
    assert nan == again
