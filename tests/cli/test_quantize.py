"""`penstock quantize` as a person runs it: real processes, real models, the report, and what is refused."""

from __future__ import annotations

import csv
import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penstock.cli.quantize import REFUSED
from penstock.conversion import irs
from penstock.repository import sources
from penstock.repository.manifest import read_manifest
from penstock.runtimes import registry
from tests import hf_folders
from tests.cli.test_commands import refused, run
from tests.conversion import tabular
from tests.conversion.conftest import cache, classifier, minilm
from tests.conversion.tabular import Digits
from tests.conversion.trained import Trained

pytest.importorskip("openvino")
pytest.importorskip("transformers")
pytest.importorskip("skl2onnx")
__all__ = ["cache", "classifier", "minilm"]  # fixtures of the rooms below


@pytest.fixture(scope="module")
def mlp(tmp_path_factory: pytest.TempPathFactory) -> Digits:
    return tabular.digits(tmp_path_factory.mktemp("digits"), "mlp")


def quantize(*arguments: Any, folder: Path) -> subprocess.CompletedProcess[str]:
    return run("quantize", *map(str, arguments), "--seconds", "0.3", folder=folder, timeout=120)


def reported(result: subprocess.CompletedProcess[str], status: int = 0) -> dict[str, Any]:
    """What was printed as JSON."""
    assert result.returncode == status, result
    found: dict[str, Any] = json.loads(result.stdout)
    return found


# --- ONNX files


def test_a_network_for_tables_with_data(mlp: Digits, tmp_path: Path) -> None:
    said = quantize(mlp.file, "--precision", "int8", "--data", mlp.data, "--json", folder=tmp_path)
    found = reported(said)
    report, quality = found["report"], found["report"]["measured"]["quality"]
    assert found["written"] == "mlp-int8"
    assert report["method"] == "int8, calibrated on 298 rows"
    assert quality["data"] == "299 of the 597 rows of digits.npz, none of which calibrated it"
    assert quality["figures"]["accuracy_before"] > 0.85
    assert quality["loss"] == pytest.approx(
        max(0, quality["figures"]["accuracy_before"] - quality["figures"]["accuracy_after"]), abs=1e-9
    )
    assert report["size"]["after"] < report["size"]["before"] == mlp.file.stat().st_size
    for speed in (report["measured"]["before"], report["measured"]["after"]):
        assert 0 < speed["p50_ms"] <= speed["p99_ms"]
        assert speed["rows_per_s"] > 0
    assert "converting mlp to int8 for ONNX Runtime, once" in said.stderr


def test_what_was_written_is_a_model(mlp: Digits, tmp_path: Path) -> None:
    reported(quantize(mlp.file, "--precision", "int4", "--name", "small", "--json", "--force", folder=tmp_path))
    spec = sources.resolve(str(tmp_path / "small-int4"))
    assert (spec.name, spec.version, spec.precision, spec.format) == ("small", "1-int4", "int4", "onnx")
    assert spec.details["report"]["measured"]["quality"]["data"] == "random numbers (synthetic data)"
    assert spec.details["derived_from"]["format"] == "onnx"
    runtime = registry.create(spec.runtime)
    runtime.load(spec)
    assert np.mean(runtime.run({"X": mlp.rows})["label"] == mlp.labels) > 0.85


def test_too_great_a_loss_writes_nothing_unless_forced(tmp_path: Path) -> None:
    regressor = tabular.digits(tmp_path, "regressor")
    np.save(tmp_path / "rows.npy", regressor.rows)
    wish = [regressor.file, "--precision", "int4", "--data", "rows.npy", "--max-loss", "0.0001", "--out", "out"]
    said = quantize(*wish, folder=tmp_path)
    assert said.returncode == REFUSED, said
    assert "error relative to the answers' spread" in said.stdout
    assert "not written: the loss is" in said.stdout
    assert "over --max-loss 0.01%" in said.stdout
    assert not (tmp_path / "out").exists()
    found = reported(quantize(*wish, "--json", "--force", folder=tmp_path))
    assert found["report"]["measured"]["quality"]["loss"] > 0.0001
    assert read_manifest(tmp_path / "out").precision == "int4"


def test_bf16_through_openvino(tmp_path: Path) -> None:
    pixels = tabular.convolutions(tmp_path)
    if not irs.native_bf16():
        said = refused(quantize(pixels, "--precision", "bf16", folder=tmp_path))
        assert "this processor does not compute in bf16" in said
        return
    found = reported(quantize(pixels, "--precision", "bf16", "--max-loss", "0.1", "--json", folder=tmp_path))
    assert found["report"]["measured"]["quality"]["figures"]["label_agreement"] > 0.9
    spec = sources.resolve(str(tmp_path / "pixels-bf16"))
    assert (spec.runtime, spec.format, spec.options) == ("openvino", "openvino", {"inference": "bf16"})


def test_operators_that_openvino_lacks(mlp: Digits, tmp_path: Path) -> None:
    said = refused(quantize(mlp.file, "--precision", "bf16", folder=tmp_path))
    assert "cannot load the file: it uses an operation that this version lacks" in said or "does not compute" in said


# --- text models


def test_minilm(minilm: Path, tmp_path: Path, cache: Path) -> None:
    said = quantize(minilm, "--precision", "int8", "--name", "minilm", folder=tmp_path)
    assert said.returncode == 0, said
    for word in ("fp32 on OpenVINO", "size", "90.6 MB", "one row, p99", "rows/s, 32 at a time", "cosine median"):
        assert word in said.stdout
    assert "on texts of our own (synthetic data)" in said.stdout
    assert "written: minilm-int8   (penstock serve minilm-int8)" in said.stdout
    report: Any = read_manifest(tmp_path / "minilm-int8").report
    assert report["measured"]["quality"]["loss"] < 0.01
    assert report["measured"]["quality"]["figures"]["top10_overlap"] > 0.9
    assert report["size"]["after"] < 0.3 * report["size"]["before"]


def test_a_classifier_with_labels(classifier: Trained, tmp_path: Path, cache: Path) -> None:
    with (tmp_path / "rows.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([("sentence", "place"), *zip(classifier.texts, classifier.labels, strict=True)])
    wish = [classifier.folder, "--precision", "int8", "--data", "rows.csv", "--label-column", "place", "--dynamic"]
    quality = reported(quantize(*wish, "--json", folder=tmp_path))["report"]["measured"]["quality"]
    assert (quality["task"], quality["rows"], quality["measure"]) == (
        "classification", len(classifier.texts), "accuracy before - accuracy after",
    )  # fmt: skip
    assert quality["figures"]["accuracy_before"] > 0.9
    assert quality["figures"]["label_agreement"] > 0.95


# --- what is refused


def test_trees_and_pickles(tmp_path: Path, iris: Any) -> None:
    forest = tabular.digits(tmp_path, "forest")
    said = refused(quantize(forest.file, "--precision", "int8", folder=tmp_path))
    assert "nothing to quantize to int8: a tree ensemble compares numbers" in said
    said = refused(quantize(iris.joblib, "--precision", "int8", "--trust", iris.digest, folder=tmp_path))
    assert "whose precision cannot be changed; export it to ONNX first" in said
    assert not [path for path in tmp_path.iterdir() if path.name.endswith("-int8")]


def test_wishes_that_cannot_be(mlp: Digits, tmp_path: Path) -> None:
    def said(*arguments: str) -> str:
        return refused(quantize(mlp.file, *arguments, folder=tmp_path))

    assert "--precision must be int8, fp16, bf16, int4, not 'int2'" in said("--precision", "int2")
    assert "there is no" in said("--precision", "int8", "--data", "nothing.csv")
    assert "give that too" in said("--precision", "int8", "--label-column", "y")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("dear")
    assert "exists and is no model folder" in said("--precision", "int8", "--out", "full")
    (tmp_path / "rows.csv").write_text("a,b\n" + "1,2\n" * 20)
    assert "rows.csv does not fit the model: input 'X' must have shape [n, 64]" in said(
        "--precision", "int8", "--data", "rows.csv"
    )


def test_data_that_does_not_fit_a_text_model_is_refused_before_anything_is_converted(
    tmp_path: Path, cache: Path
) -> None:
    folder = hf_folders.embedder(tmp_path / "tiny")
    (tmp_path / "wrong.csv").write_text("foo,bar\n" + "a,b\n" * 20)
    (tmp_path / "few.txt").write_text("one\ntwo\n")
    before = sorted(cache.rglob("*"))
    for file, why in (("wrong.csv", "it needs a column named text"), ("few.txt", "has 2 rows; give 10 at least")):
        result = quantize(folder, "--precision", "int8", "--data", file, folder=tmp_path)
        assert why in refused(result)
        assert "converting" not in result.stderr
    assert sorted(cache.rglob("*")) == before


def test_python_code_has_no_weights(tmp_path: Path) -> None:
    (tmp_path / "shout.py").write_text("def shout(texts):\n    return texts\n")
    said = refused(quantize("shout.py:shout", "--precision", "int8", folder=tmp_path))
    assert "shout is Python code, which has no weights to quantize; export its model to ONNX first" in said
