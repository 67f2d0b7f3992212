"""From a request to work and back: keys, splitting, and putting together again."""

from __future__ import annotations

import gc
import random
import weakref

import numpy as np
import pytest

from penstock.core.errors import BadInput, ModelFailed
from penstock.core.signature import Signature, TensorSpec
from penstock.core.tensors import Tensor
from penstock.scheduling.ticket import KeyMaker, Parts, cut, spans
from penstock.scheduling.work import Work
from tests.scheduling.works import Ends, numbers, values_of


def parts_of(*pieces: list[int]) -> tuple[Parts, Ends]:
    ends = Ends()
    parts = Parts(ends, lambda work: None)
    parts.owner = "the reply"
    for number, piece in enumerate(pieces):
        made = Work(numbers(*piece), len(piece), parts.part_ended)
        made.arrived = float(number)
        parts.works.append(made)
    return parts, ends


def test_split_and_joined_in_order_whatever_order_they_end_in() -> None:
    values = list(range(10))
    pieces = [cut(numbers(*values), *span) for span in spans(10, 4)]
    assert [values_of(piece) for piece in pieces] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    for seed in range(6):
        parts, ends = parts_of(*(values_of(piece) for piece in pieces))
        order = list(parts.works)
        random.Random(seed).shuffle(order)
        for work in order:
            assert not ends
            work.end(work.tensors)
        ((last, outcome),) = ends
        assert not isinstance(outcome, Exception)
        assert values_of(outcome) == values
        assert outcome["x"].datatype == "INT64"
        assert (last.owner, last.arrived) == ("the reply", 0.0)


def test_splitting_copies_nothing_and_keeps_every_input() -> None:
    tensors = {"a": Tensor("FP32", np.zeros((5, 2), np.float32)), "t": Tensor.of(["v", "w", "x", "y", "z"])}
    pieces = [cut(tensors, *span) for span in spans(5, 3)]
    assert [set(piece) for piece in pieces] == [{"a", "t"}] * 2
    assert np.shares_memory(pieces[1]["a"].array, tensors["a"].array)
    assert pieces[1]["t"].array.tolist() == [b"y", b"z"]


def test_the_first_error_ends_the_whole_once() -> None:
    parts, ends = parts_of([1], [2], [3])
    works, error = parts.works, BadInput("no")
    works[1].end(error)
    works[0].end(BadInput("another"))
    works[2].end(works[2].tensors)
    assert [outcome for _, outcome in ends] == [error]


def test_nothing_is_left_to_the_garbage_collector() -> None:
    parts, ends = parts_of([1], [2])
    kept = weakref.ref(parts)
    gc.collect()
    gc.disable()
    try:
        for work in parts.works:
            work.end(work.tensors)
        del parts, work
        ends.clear()
        assert kept() is None
    finally:
        gc.enable()


def test_an_error_after_results_still_ends_the_whole() -> None:
    parts, ends = parts_of([1], [2])
    parts.works[0].end(parts.works[0].tensors)
    parts.works[1].end(error := ModelFailed("no"))
    assert [outcome for _, outcome in ends] == [error]


@pytest.mark.parametrize(
    "outputs",
    [{"x": Tensor("INT64", np.zeros((1, 9), np.int64))}, {"y": Tensor("INT64", np.zeros((1, 2), np.int64))}],
)
def test_outputs_that_cannot_be_put_together_end_with_an_error(outputs: dict[str, Tensor]) -> None:
    parts, ends = parts_of([1], [2])
    parts.works[0].end({"x": Tensor("INT64", np.zeros((1, 2), np.int64))})
    parts.works[1].end(outputs)
    ((_, outcome),) = ends
    assert isinstance(outcome, ModelFailed)
    assert "at most 1 rows" in outcome.message


def tensors(**shapes: tuple[int, ...]) -> dict[str, Tensor]:
    return {name: Tensor("FP32", np.zeros(shape, np.float32)) for name, shape in shapes.items()}


def test_a_fixed_signature_has_one_key() -> None:
    keys = KeyMaker(Signature((TensorSpec("a", "FP32", (-1, 4)), TensorSpec("b", "FP32", (-1,)))))
    assert keys.key(tensors(a=(1, 4), b=(1,))) == keys.key(tensors(b=(7,), a=(7, 4)))


def test_variable_axes_but_the_first_make_keys() -> None:
    keys = KeyMaker(Signature((TensorSpec("a", "FP32", (-1, -1)),)))
    assert keys.key(tensors(a=(1, 4))) == keys.key(tensors(a=(9, 4)))
    assert keys.key(tensors(a=(1, 4))) != keys.key(tensors(a=(1, 5)))


def test_optional_inputs_left_out_make_keys() -> None:
    optional = TensorSpec("b", "FP32", (-1,), optional=True)
    keys = KeyMaker(Signature((TensorSpec("a", "FP32", (-1, 4)), optional)))
    assert keys.key(tensors(a=(1, 4))) != keys.key(tensors(a=(1, 4), b=(1,)))
    assert keys.key(tensors(a=(1, 4))) == keys.key(tensors(a=(2, 4)))
