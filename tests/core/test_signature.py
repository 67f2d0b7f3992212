"""Whether tensors fit a signature, and how many rows they hold."""

from __future__ import annotations

import numpy as np
import pytest

from penstock.core.errors import BadInput
from penstock.core.signature import Fit, Signature, TensorSpec, spec_of
from penstock.core.tensors import DTYPES, Tensor

FIT = Fit.of(
    Signature(
        (
            TensorSpec("a", "FP32", (-1, 4)),
            TensorSpec("b", "INT64", (-1, -1)),
            TensorSpec("c", "FP32", (-1,), optional=True),
        )
    )
)


def floats(*shape: int, datatype: str = "FP32") -> Tensor:
    return Tensor(datatype, np.zeros(shape, DTYPES[datatype]))


def test_rows_are_counted() -> None:
    b = floats(3, 9, datatype="INT64")
    assert FIT.rows({"a": floats(3, 4), "b": b}) == 3
    assert FIT.rows({"b": b, "c": floats(3), "a": floats(3, 4)}) == 3
    assert FIT.rows({"a": floats(0, 4), "b": floats(0, 1, datatype="INT64")}) == 0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"b": None}, "missing input: b"),
        ({"a": None, "b": None, "c": floats(1)}, "missing input: a, b"),
        ({"d": floats(1)}, "unknown input 'd'; the model takes: a, b, c"),
        ({"a": floats(1, 4, datatype="FP64")}, "'a' must be FP32, got FP64"),
        ({"a": floats(1, 5)}, r"'a' must have shape \[n, 4\], got \[1, 5\]"),
        ({"a": floats(4)}, r"'a' must have shape \[n, 4\], got \[4\]"),
        ({"a": floats(1, 4, 1)}, "'a' must have shape"),
        ({"a": floats()}, "'a' must have shape"),
        ({"a": floats(2, 4)}, "disagree on the number of rows"),
        ({"c": floats(2)}, "disagree on the number of rows"),
    ],
)
def test_what_does_not_fit_says_why(change: dict[str, Tensor | None], says: str) -> None:
    sound: dict[str, Tensor | None] = {"a": floats(1, 4), "b": floats(1, 2, datatype="INT64")}
    tensors = {name: tensor for name, tensor in {**sound, **change}.items() if tensor is not None}
    with pytest.raises(BadInput, match=says):
        FIT.rows(tensors)


def test_an_absurd_name_is_not_repeated_whole() -> None:
    with pytest.raises(BadInput) as refusal:
        FIT.rows({"x" * 100_000: floats(1)})
    assert len(refusal.value.message) < 200


def test_without_a_batch_axis_there_is_one_row() -> None:
    fit = Fit.of(Signature((TensorSpec("a", "FP32", (2, 2)), TensorSpec("b", "FP32", (3,))), batched=False))
    assert fit.rows({"a": floats(2, 2), "b": floats(3)}) == 1


def test_inputs_and_outputs_by_name() -> None:
    signature = Signature((TensorSpec("a", "FP32", (-1,)),), (TensorSpec("y", "FP32", (-1,)),))
    assert signature.output_names() == ("y",)


def test_a_spec_from_an_example() -> None:
    assert spec_of("a", np.zeros((3, 4)), "FP64").shape == (-1, 4)
    assert spec_of("a", np.zeros((3, 4)), "FP64", batched=False).shape == (3, 4)
    assert spec_of("a", np.zeros(()), "FP64").shape == ()
    with pytest.raises(BadInput, match="COMPLEX"):
        spec_of("a", np.zeros(1), "COMPLEX")
