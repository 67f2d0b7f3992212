"""The losses: nothing for the same answers, and the right number for answers that moved by a known amount."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from penstock.conversion import quality
from penstock.conversion.closeness import cosines
from penstock.core.errors import ConfigError
from penstock.core.signature import Signature, TensorSpec
from penstock.core.tensors import Array, object_array
from penstock.core.text import TextModel
from penstock.runtimes.text.reading import Row
from penstock.runtimes.text.token_classification import TokenClassification

random = np.random.default_rng(0)
VECTORS = random.standard_normal((50, 8)).astype(np.float32)


def column(values: list[str]) -> Array:
    return object_array([value.encode() for value in values], (len(values),))


def signature(*outputs: TensorSpec, task: str = "") -> Signature:
    return Signature((TensorSpec("x", "FP32", (-1, 4)),), outputs, task=task)


def test_embeddings_that_stay() -> None:
    found = quality.embeddings(VECTORS, VECTORS * 3)
    assert found.value == pytest.approx(0, abs=1e-9)
    assert found.figures == pytest.approx({"cosine_median": 1, "cosine_min": 1, "top10_overlap": 1})


def test_embeddings_that_turn_by_a_known_angle() -> None:
    before = np.tile(np.array([[1.0, 0.0]]), (5, 1))
    after = np.tile(np.array([[np.cos(0.1), np.sin(0.1)]]), (5, 1))
    found = quality.embeddings(before, after)
    assert found.value == pytest.approx(1 - np.cos(0.1))
    assert "top10_overlap" not in found.figures, "five rows have no ten neighbours"


def test_neighbours_that_change() -> None:
    moved = quality.overlap(VECTORS, VECTORS + 0.3 * random.standard_normal(VECTORS.shape))
    assert 0.3 < moved < 0.95
    assert quality.overlap(VECTORS, random.standard_normal(VECTORS.shape)) < 0.5


def test_zeros_and_what_is_no_number() -> None:
    zeros, broken = np.zeros((3, 4)), np.full((3, 4), np.nan)
    assert quality.embeddings(zeros, zeros).value == 0
    assert quality.embeddings(zeros, np.ones((3, 4))).value == 1
    assert quality.embeddings(np.ones((3, 4)), broken).value == 1
    assert quality.numbers(np.arange(4.0), np.full(4, np.inf)).value == 1


def test_single_numbers_are_close_together_not_by_their_sign() -> None:
    """A reranker's score alone is parallel to every other of its sign: any damage would look like none."""
    before = [np.array([[value]]) for value in (0.1, 2.0, 0.5, 3.0)]
    after = [np.array([[value]]) for value in (3.0, 0.5, 2.0, 0.1)]
    assert cosines(before, after).tolist() == [pytest.approx(2.6 / 13.26)]
    assert cosines(before, before).tolist() == [pytest.approx(1)]
    assert cosines([*VECTORS], [*-VECTORS]) == pytest.approx(-np.ones(50))


def test_classes_with_and_without_labels() -> None:
    before, after = column(["a", "b", "b", "c"]), column(["a", "b", "c", "c"])
    assert quality.classes(before, after).value == pytest.approx(0.25)
    known = quality.classes(before, after, ["a", "b", "b", "a"])
    assert known.figures == pytest.approx({"label_agreement": 0.75, "accuracy_before": 0.75, "accuracy_after": 0.5})
    assert known.value == pytest.approx(0.25)
    assert quality.classes(after, before, ["a", "b", "b", "a"]).value == 0, "better is no loss"


def test_labels_that_are_not_the_models_classes_measure_nothing() -> None:
    before, after = column(["good", "bad", "bad"]), column(["bad", "good", "good"])
    with pytest.raises(ConfigError, match=r"labels \(0, 1\) are none of the classes .* \(bad, good\)"):
        quality.classes(before, after, ["1", "0", "0"])


def test_entities_are_compared_as_the_runtime_gives_them() -> None:
    """The very head that serves: the same places under other names are not the same entities."""
    head = TokenClassification(TextModel(task="token-classification", labels=("O", "B-PER", "B-LOC")), object())  # type: ignore[arg-type]
    row = Row([5, 6], text="Anna is", spans=[(0, 4), (5, 7)])
    before, after = (
        head.answer(np.array([[[0, *who], [9, 0, 0]]], np.float32), [row])["entities"] for who in ((9, 0), (0, 9))
    )
    assert quality.entities(before, before).value == 0
    assert quality.entities(before, after).value == 1


def test_classes_by_number_and_by_score() -> None:
    numbers = quality.classes(np.array([0, 1, 2]), np.array([0, 1, 1]), ["0", "1", "2"])
    assert numbers.figures["accuracy_after"] == pytest.approx(2 / 3)
    scores = np.array([[0.9, 0.1], [0.2, 0.8]])
    assert quality.classes(scores, scores[:, ::-1]).value == 1


def test_ranks_count_pairs_that_were_not_equal() -> None:
    before = np.array([0.1, 0.5, 0.9, 0.9001])
    assert quality.ranks(before, before * 2 + 1).value == 0
    assert quality.ranks(before, -before).value == 1
    assert quality.ranks(before, np.array([0.1, 0.5, 0.9001, 0.9])).value == 0, "two as good as equal may change places"
    assert quality.ranks(before, np.array([0.5, 0.1, 0.9, 0.9001])).value == pytest.approx(1 / 5)


def test_numbers_against_their_own_spread() -> None:
    before = np.array([[1.0], [2.0], [3.0]])
    off = quality.numbers(before, before + 0.1)
    assert off.value == pytest.approx(0.1 / np.std([1, 2, 3]))
    known = quality.numbers(before, before + 0.1, ["1", "2", "3"])
    assert known.figures["r2_before"] == 1
    assert known.value == pytest.approx(1 - known.figures["r2_after"])


def test_entities_and_candidates() -> None:
    def entity(kind: str) -> dict[str, Any]:
        return {"entity": kind, "text": "Anna", "start": 0, "end": 4, "score": 0.5}

    def rows(*values: Any) -> Array:
        return object_array([msgspec.json.encode(value) for value in values], (len(values),))

    found = quality.entities(rows([entity("PER")], [entity("LOC")]), rows([entity("PER")], [entity("ORG")]))
    assert found.value == pytest.approx(0.5)
    assert quality.entities(rows([], []), rows([], [])).value == 0
    best = quality.candidates(
        rows([[{"token": "a"}]], [[{"token": "b"}]]), rows([[{"token": "a"}]], [[{"token": "c"}]])
    )
    assert best.value == pytest.approx(0.5)


def test_the_output_says_what_is_compared() -> None:
    one, two = np.array([[0.2, 0.8]]), np.array([[0.7, 0.3]])
    by_name = signature(TensorSpec("logits", "FP32", (-1, 2)))
    assert quality.loss(by_name, {"logits": one * 9}, {"logits": two * 9}, None).task == "classification"
    by_sum = signature(TensorSpec("out", "FP32", (-1, 2)))
    assert quality.loss(by_sum, {"out": one}, {"out": two}, None).value == 1
    label = signature(TensorSpec("p", "FP32", (-1, 2)), TensorSpec("label", "INT64", (-1,)))
    same = {"p": one, "label": np.array([1])}
    assert quality.loss(label, same, {**same, "p": two}, None).value == 0
    features = signature(TensorSpec("features", "FP32", (-1, 3)))
    wide = {"features": VECTORS[:, :3] * 5}
    assert quality.loss(features, wide, wide, None).task == "tensor"
    number = signature(TensorSpec("y", "FP32", (-1, 1)))
    assert quality.loss(number, {"y": one[:, :1]}, {"y": one[:, :1]}, None).task == "regression"
    text = signature(TensorSpec("embedding", "FP32", (-1, 8)), task="embedding")
    assert quality.loss(text, {"embedding": VECTORS}, {"embedding": VECTORS}, None).task == "embedding"
