"""ONNX files of any kind in fewer bits: smaller, as good, or refused with the reason."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from penstock.conversion import graphs
from penstock.core.errors import ModelFileError
from penstock.core.model import ModelSpec
from penstock.core.tensors import Array
from penstock.core.text import Precision
from penstock.runtimes.onnx import OnnxRuntime
from tests.conversion import tabular
from tests.conversion.tabular import Digits

onnx = pytest.importorskip("onnx")
pytest.importorskip("skl2onnx")


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Libraries warn of themselves; conversion runs them in a process where nobody listens."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture(scope="module")
def mlp(tmp_path_factory: pytest.TempPathFactory) -> Digits:
    return tabular.digits(tmp_path_factory.mktemp("digits"), "mlp")


@pytest.fixture(scope="module")
def pixels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("torch")
    return tabular.convolutions(tmp_path_factory.mktemp("pixels"))


def answers(file: Path, **inputs: Array) -> dict[str, Array]:
    runtime = OnnxRuntime()
    runtime.load(ModelSpec(name="m", runtime="onnx", path=str(file), format="onnx"))
    return runtime.run(inputs)


def kinds(file: Path) -> set[str]:
    return {node.op_type for node in onnx.load(str(file)).graph.node}


@pytest.mark.parametrize(
    ("precision", "calibrated", "operator"),
    [
        ("int8", False, "DynamicQuantizeLinear"), ("int8", True, "QuantizeLinear"), ("int4", False, "MatMulNBits"),
        ("fp16", False, "Cast"),
    ],
)  # fmt: skip
def test_a_network_for_tables(
    mlp: Digits, tmp_path: Path, precision: Precision, calibrated: bool, operator: str
) -> None:
    calibration = [{"X": mlp.rows[at : at + 8]} for at in range(0, 160, 8)] if calibrated else []
    graphs.write(mlp.file, tmp_path / "m.onnx", precision, calibration)
    assert operator in kinds(tmp_path / "m.onnx")
    before, after = (answers(file, X=mlp.rows)["label"] for file in (mlp.file, tmp_path / "m.onnx"))
    assert np.mean(before == after) > 0.97
    assert np.mean(after == mlp.labels) > 0.85
    assert (tmp_path / "m.onnx").stat().st_size < 0.75 * mlp.file.stat().st_size


def test_convolutions_are_calibrated(pixels: Path, tmp_path: Path) -> None:
    rows = np.random.default_rng(0).standard_normal((64, 3, 16, 16)).astype(np.float32)
    with pytest.raises(ModelFileError, match="convolutions are quantized with data alone: give some with --data"):
        graphs.write(pixels, tmp_path / "m.onnx", "int8", [])
    method = graphs.write(
        pixels, tmp_path / "m.onnx", "int8", [{"pixels": rows[at : at + 8]} for at in range(0, 64, 8)]
    )
    assert method == "int8, calibrated on 64 rows"
    before, after = (answers(file, pixels=rows)["scores"] for file in (pixels, tmp_path / "m.onnx"))
    assert np.mean(before.argmax(axis=1) == after.argmax(axis=1)) > 0.9


@pytest.mark.parametrize("precision", ["int8", "int4", "fp16"])
def test_trees_have_nothing_to_quantize(tmp_path: Path, precision: Precision) -> None:
    forest = tabular.digits(tmp_path, "forest")
    with pytest.raises(ModelFileError, match=f"nothing to quantize to {precision}: a tree ensemble compares numbers"):
        graphs.write(forest.file, tmp_path / "m.onnx", precision, [])
    assert not (tmp_path / "m.onnx").exists()


def test_a_linear_classifier_of_onnx_ml_keeps_its_weights_to_itself(tmp_path: Path) -> None:
    linear = tabular.digits(tmp_path, "logistic")
    with pytest.raises(ModelFileError, match=r"it consists of .*LinearClassifier.*, none of which multiplies"):
        graphs.write(linear.file, tmp_path / "m.onnx", "int8", [])


def test_bf16_is_for_openvino(mlp: Digits, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="OpenVINO does: runtime: openvino"):
        graphs.write(mlp.file, tmp_path / "m.onnx", "bf16", [])


def test_files_that_are_too_old_are_brought_up_to_date(mlp: Digits, tmp_path: Path) -> None:
    model = onnx.load(str(mlp.file))
    only = [entry for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    only[0].version = 11
    old = tmp_path / "old.onnx"
    old.write_bytes(model.SerializeToString())
    graphs.write(old, tmp_path / "m.onnx", "int8", [])
    assert np.mean(answers(tmp_path / "m.onnx", X=mlp.rows)["label"] == mlp.labels) > 0.85
    assert max(entry.version for entry in onnx.load(str(tmp_path / "m.onnx")).opset_import) >= 13


def test_a_damaged_file(tmp_path: Path, mlp: Digits) -> None:
    (tmp_path / "m.onnx").write_bytes(mlp.file.read_bytes()[:-7])
    with pytest.raises(ModelFileError, match="truncated or damaged"):
        graphs.write(tmp_path / "m.onnx", tmp_path / "out.onnx", "int8", [])
