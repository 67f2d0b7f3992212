"""Who killed two workers is known by what it carries."""

from __future__ import annotations

import numpy as np
import pytest

from penstock.core.tensors import Tensor, Tensors
from penstock.scheduling import quarantine as quarantine_file
from penstock.scheduling.quarantine import SUSPICION_S, Quarantine, fingerprint
from tests.scheduling.works import numbers


def test_only_the_guilty_is_refused() -> None:
    quarantine = Quarantine()
    assert not quarantine
    assert numbers(1) not in quarantine
    quarantine.add(numbers(1))
    assert quarantine
    assert numbers(1) in quarantine
    assert numbers(2) not in quarantine


@pytest.mark.parametrize(
    "other",
    [
        {"y": Tensor("INT64", np.array([1, 2]))},
        {"x": Tensor("UINT64", np.array([1, 2], dtype=np.uint64))},
        {"x": Tensor("INT64", np.array([[1, 2]]))},
        {"x": Tensor("INT64", np.array([2, 1]))},
        {"x": Tensor("INT64", np.array([1, 2])), "y": Tensor("INT64", np.array([1, 2]))},
        {},
    ],
)
def test_names_datatypes_shapes_and_values_count(other: Tensors) -> None:
    assert fingerprint(other) != fingerprint(numbers(1, 2))


def test_the_order_of_inputs_and_memory_layout_do_not_count() -> None:
    a, b = numbers(1, 2)["x"], numbers(3)["x"]
    assert fingerprint({"a": a, "b": b}) == fingerprint({"b": b, "a": a})
    square = np.arange(4).reshape(2, 2)
    turned = Tensor("INT64", np.asfortranarray(square))
    assert fingerprint({"x": Tensor("INT64", square)}) == fingerprint({"x": turned})


def test_bytes_and_empty_tensors_have_fingerprints() -> None:
    texts = [Tensor.of(["ab", "c"]), Tensor.of(["a", "bc"]), Tensor("FP32", np.empty((0, 3), np.float32))]
    assert len({fingerprint({"x": text}) for text in texts}) == 3


def test_the_oldest_is_forgotten_over_capacity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quarantine_file, "CAPACITY", 3)
    quarantine = Quarantine()
    for value in range(5):
        quarantine.add(numbers(value))
        quarantine.blame(numbers(100 + value), 0.0)
    assert [numbers(value) in quarantine for value in range(5)] == [False, False, True, True, True]
    assert len(quarantine._suspects) == 3


def test_the_second_blame_convicts() -> None:
    quarantine = Quarantine()
    quarantine.blame(numbers(1), 0.0)
    assert not quarantine
    quarantine.blame(numbers(2), 1.0)
    assert not quarantine
    quarantine.blame(numbers(1), 2.0)
    assert numbers(1) in quarantine
    assert numbers(2) not in quarantine


def test_an_old_blame_is_forgotten() -> None:
    quarantine = Quarantine()
    quarantine.blame(numbers(1), 0.0)
    quarantine.blame(numbers(1), SUSPICION_S + 1)
    assert not quarantine
    quarantine.blame(numbers(1), SUSPICION_S + 2)
    assert quarantine
