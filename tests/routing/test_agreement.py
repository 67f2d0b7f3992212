"""How much two answers agree."""

from __future__ import annotations

import numpy as np
import pytest

from penstock.core.generation import CallArguments, CallStarted, Generated, Text, Usage
from penstock.core.tensors import Tensor
from penstock.routing.agreement import of_outcomes, of_tensors, of_texts

END = Generated(Usage(1, 0, 1))


@pytest.mark.parametrize(
    ("one", "other", "score"),
    [
        ("Paris", "paris.", 1.0),
        ("It is Paris", "Paris it is", 1.0),
        ("It is Paris", "It is Rome", 2 / 3),
        ("yes yes yes", "yes", 0.5),
        ("Paris", "Rome", 0.0),
        ("", "", 1.0),
        ("", "Rome", 0.0),
        ("!", "?", 0.0),
        ("!", " ! ", 1.0),
    ],
)
def test_texts_by_their_words(one: str, other: str, score: float) -> None:
    assert of_texts(one, other) == of_texts(other, one) == pytest.approx(score)


def test_streams_by_what_they_say_and_call() -> None:
    pieces = [Text(0, "Par", (), 1), Text(0, "is", (), 1)]
    assert of_outcomes(pieces, END, [Text(0, "Paris", (), 2)], END) == 1.0
    call = [CallStarted(0, 0, "c1", "weather"), CallArguments(0, 0, '{"city": "Rome"}')]
    again = [CallStarted(0, 0, "c2", "weather"), CallArguments(0, 0, '{"city": "Oslo"}')]
    assert of_outcomes(call, END, call, END) == 1.0
    assert of_outcomes(call, END, again, END) == pytest.approx(2 / 3)


def test_rows_by_all_their_outputs() -> None:
    label, score = Tensor.of(np.array([1, 2, 3, 4])), Tensor.of(np.array([[0.1], [0.2], [np.nan], [0.4]]))
    near = Tensor.of(np.array([[0.1 + 1e-6], [0.3], [np.nan], [0.4]]))
    assert of_tensors({"y": label, "p": score}, {"y": label, "p": score}) == 1.0
    assert of_tensors({"y": label, "p": score}, {"y": label, "p": near}) == 0.75
    other = Tensor.of(np.array([1, 2, 3, 5]))
    assert of_tensors({"y": label, "p": score}, {"y": other, "p": near}) == 0.5


def test_what_cannot_be_compared_does_not_agree() -> None:
    rows = {"y": Tensor.of(np.array([1, 2]))}
    assert of_tensors(rows, {"z": rows["y"]}) == 0.0
    assert of_tensors(rows, {"y": Tensor.of(np.array([1, 2, 3]))}) == 0.0
