"""Two versions of a model compared by their runtimes: rows in the pieces that the model takes, answers put together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penstock.conversion import feeds, measuring
from penstock.conversion.jobs import Measure, Sample
from penstock.core.errors import ConfigError
from penstock.core.model import ModelSpec
from penstock.core.signature import Signature, TensorSpec
from tests.runtimes.text import tiny

onnx: Any = pytest.importorskip("onnx")


def scaled(file: Path, factor: float, shape: list[Any]) -> ModelSpec:
    """y = factor x, for inputs of a shape."""
    helper, float32 = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "factor"], ["y"])],
        "scaled",
        [helper.make_tensor_value_info("x", float32, shape)],
        [helper.make_tensor_value_info("y", float32, shape)],
        [helper.make_tensor("factor", float32, [], [factor])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    file.write_bytes(model.SerializeToString())
    return ModelSpec(name=file.stem, runtime="onnx", path=str(file), format="onnx")


def measured(folder: Path, shape: list[Any], factors: tuple[float, float], rows: Any, seconds: float = 0) -> Any:
    np.save(folder / "rows.npy", rows)
    before, after = (scaled(folder / f"m{n}.onnx", factor, shape) for n, factor in enumerate(factors))
    job = Measure(before=before, after=after, sample=Sample(file=str(folder / "rows.npy")), seconds=seconds)
    return measuring.measure(job, lambda text: None)


ROWS = np.random.default_rng(0).standard_normal((37, 3)).astype(np.float32)
PAIRS = np.stack([ROWS] * 2, 1)


@pytest.mark.parametrize(
    ("shape", "rows", "together"),
    [(["n", 3], ROWS, 32), ([4, 3], ROWS, 4), (["n", 2, 3], PAIRS, 32), (["sequence", 3], PAIRS, 1)],
)
def test_rows_in_the_pieces_that_the_model_takes(tmp_path: Path, shape: list[Any], rows: Any, together: int) -> None:
    found = measured(tmp_path, shape, (1, 1), rows, seconds=0.2)
    assert found.quality.loss == pytest.approx(0, abs=1e-9)
    assert (found.quality.task, found.quality.rows) == ("tensor", 37)
    assert found.before.rows_per_s > 0
    assert found.after.batch == together


def test_answers_that_moved(tmp_path: Path) -> None:
    assert measured(tmp_path, ["n", 3], (1, -1), ROWS).quality.loss == 1
    turned = measured(tmp_path, ["n", 1], (1, 1.1), ROWS[:, :1])
    spread = float(np.sqrt(np.mean(ROWS[:, 0] ** 2))) / float(np.std(ROWS[:, 0]))
    assert turned.quality.figures["relative_error"] == pytest.approx(0.1 * spread, rel=1e-4)
    assert turned.before is None


def test_right_answers_that_nothing_would_be_compared_with(tmp_path: Path) -> None:
    spec = tiny.make(tmp_path / "m", "bert", "embedding").spec
    (tmp_path / "texts.csv").write_text("text,who\n" + "red shoes,me\n" * 12)
    named, free = (Sample(file=str(tmp_path / "texts.csv"), label=label) for label in ("who", None))
    with pytest.raises(ConfigError, match="embedding is compared without right answers; leave the column 'who' out"):
        measuring.measure(Measure(before=spec, after=spec, sample=named), lambda text: None)
    assert measuring.measure(Measure(before=spec, after=spec, sample=free), lambda text: None).quality.rows == 12


def test_pieces_of_a_model_with_fixed_rows_are_filled_up() -> None:
    signature = Signature((TensorSpec("x", "FP32", (-1, 3)),), fixed_rows=4)
    pieces = [feed["x"] for feed in feeds.batches({"x": ROWS[:6]}, signature, 32)]
    assert [piece.shape for piece in pieces] == [(4, 3), (4, 3)]
    np.testing.assert_array_equal(pieces[1], ROWS[[4, 5, 5, 5]])


def test_random_rows_fit_the_signature_and_are_always_the_same() -> None:
    specs = (TensorSpec("a", "FP32", (-1, 2)), TensorSpec("b", "INT64", (-1,)), TensorSpec("c", "BYTES", (-1, 1)))
    first, second = feeds.drawn(Signature(specs)), feeds.drawn(Signature(specs))
    assert {name: (array.shape[1:], array.dtype.kind) for name, array in first.items()} == {
        "a": ((2,), "f"), "b": ((), "i"), "c": ((1,), "O"),
    }  # fmt: skip
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])
