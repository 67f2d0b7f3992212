"""What is served as it is, what is converted first, and what goes to PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from penstock.config.models import check, spec_of
from penstock.config.schema import ModelSettings
from penstock.conversion import machine, quantizing, serving
from penstock.conversion.jobs import Sample
from penstock.core.errors import ConfigError, ModelFileError
from penstock.core.model import ModelSpec
from tests import hf_folders, servers
from tests.cli.test_commands import refused, run
from tests.conversion.trained import Trained
from tests.repository.conftest import onnx_bytes

pytest.importorskip("openvino")
pytest.importorskip("transformers")


@pytest.fixture
def folder(tmp_path: Path, own_cache: Path) -> Path:
    """An embedding model, which other tests make, too: what they have converted is not in its cache."""
    return hf_folders.embedder(tmp_path / "tiny")


def described(folder: Path, **changes: Any) -> ModelSpec:
    """The folder's spec, without converting anything."""
    from penstock.repository import sources

    options = changes.pop("options", {})
    return msgspec.structs.replace(sources.resolve(str(folder), options=options), **changes)


def servable(spec: ModelSpec, precision: Any = None, **given: Any) -> ModelSpec:
    def never(text: str) -> None:
        raise AssertionError(text)

    return serving.servable(spec, precision, None, given, never)


def gpu(monkeypatch: pytest.MonkeyPatch, arithmetic: str | None) -> None:
    """A machine with a GPU that computes so, or without one."""
    monkeypatch.setattr(machine, "cuda_arithmetic", lambda: arithmetic)


# --- on PyTorch


@pytest.mark.parametrize("arithmetic", ["bf16", "f16"])
def test_weights_stay_as_they_are_on_a_gpu(folder: Path, monkeypatch: pytest.MonkeyPatch, arithmetic: str) -> None:
    gpu(monkeypatch, arithmetic)
    spec = servable(described(folder))
    assert (spec.format, spec.path) == ("safetensors", str(folder))
    assert (spec.options["engine"], spec.options["inference"]) == ("torch", arithmetic)
    assert servable(described(folder), "fp32").options["inference"] == "f32"
    assert servable(described(folder, device="cuda:0"), "fp16").precision == "fp16"
    assert servable(described(folder), inference="f32").options["inference"] == "f32"


def test_a_trusted_pickle_is_for_the_cpu_beside_a_gpu_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu(monkeypatch, "bf16")
    pickled = described(folder, format="torch-pickle", path=str(folder))
    with pytest.raises(AssertionError, match="converting tiny to fp32"):
        servable(pickled)
    for asked in (
        msgspec.structs.replace(pickled, device="cuda"),
        msgspec.structs.replace(pickled, options={**pickled.options, "engine": "torch"}),
    ):
        with pytest.raises(ConfigError, match="PyTorch serves safetensors"):
            servable(asked)


def test_the_cpu_is_for_the_cpu(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu(monkeypatch, "bf16")
    for spec, precision in (
        (described(folder, device="cpu"), None),
        (described(folder), "int8"),
        (described(folder, options={"engine": "openvino"}), None),
    ):
        with pytest.raises(AssertionError, match="converting tiny to"):
            servable(spec, precision)


def test_without_a_gpu_pytorch_serves_only_when_it_is_asked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu(monkeypatch, None)
    asked = servable(described(folder, options={"engine": "torch"}))
    assert (asked.format, asked.options["inference"]) == ("safetensors", "f32")
    with pytest.raises(AssertionError, match="converting tiny to fp32"):
        servable(described(folder))


def test_eight_bits_are_not_for_pytorch(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu(monkeypatch, "bf16")
    with pytest.raises(ConfigError, match="precision: int8 is for the CPU"):
        servable(described(folder, device="cuda"), "int8")


def test_the_gpu_is_looked_for_without_importing_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert machine.cuda_arithmetic() is None
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    if not [*Path("/dev").glob("nvidia*")]:
        assert machine.cuda_arithmetic() is None


# --- as it is, or derived


def test_a_graph_without_a_precision_is_served_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(onnx_bytes())
    spec = ModelSpec(name="m", runtime="onnx", path=str(tmp_path / "m.onnx"), format="onnx")
    assert servable(spec) is spec
    assert servable(spec, "fp32") is spec
    small = msgspec.structs.replace(spec, precision="int8")
    assert servable(small, "int8") is small


def test_a_calibration_that_would_change_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(onnx_bytes())
    spec = ModelSpec(name="m", runtime="onnx", path=str(tmp_path / "m.onnx"), format="onnx", precision="int8")
    with pytest.raises(ConfigError, match="m is in int8 already, which no calibration changes"):
        serving.needed(spec, "int8", Sample(file="rows.npy"))
    with pytest.raises(ConfigError, match="--dynamic is a way to int8; fp16 is never calibrated"):
        quantizing.prepared(msgspec.structs.replace(spec, precision=""), quantizing.Wish("fp16", dynamic=True))


def test_precision_in_the_settings(classifier: Trained, tmp_path: Path) -> None:
    said: list[str] = []
    spec = spec_of("places", ModelSettings(source=str(classifier.folder), precision="int8"), tmp_path, said.append)
    assert (spec.name, spec.runtime, spec.precision, spec.platform) == ("places", "text", "int8", "penstock_text")
    assert spec.details["derived_from"]["format"] == "safetensors"
    # What was derived is a source itself, and has its precision already.
    again = spec_of(
        "places", ModelSettings(source=str(Path(spec.path).parent), precision="int8"), tmp_path, said.append
    )
    assert again.path == spec.path
    with pytest.raises(ConfigError, match="is in int8 already; make int4 from the original"):
        spec_of("places", ModelSettings(source=str(Path(spec.path).parent), precision="int4"), tmp_path, said.append)


def test_calibration_in_the_settings_starts_where_sources_do(classifier: Trained, tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("\n".join(classifier.texts[:30]))
    settings = ModelSettings(source=str(classifier.folder), precision="int8", calibration="texts.txt")
    spec = spec_of("places", settings, tmp_path, lambda text: None)
    assert spec.details["report"]["method"] == "int8, calibrated on 30 rows"
    settings = ModelSettings(source=str(classifier.folder), calibration="texts.txt")
    with pytest.raises(ConfigError, match="calibration is for precision: int8, not for a model as it is"):
        spec_of("places", settings, tmp_path)


def test_checking_converts_nothing(folder: Path, own_cache: Path, iris: Any) -> None:
    check("tiny", ModelSettings(source=str(folder), precision="int8"), folder.parent)
    assert not own_cache.exists()
    with pytest.raises(ModelFileError, match="export it to ONNX first"):
        check("iris", ModelSettings(source=str(iris.joblib), trust=iris.digest, precision="int8"), folder.parent)
    with pytest.raises(ConfigError, match=r"there is no .*texts\.csv"):
        check("tiny", ModelSettings(source=str(folder), precision="int8", calibration="texts.csv"), folder.parent)


def test_a_server_converts_before_it_is_ready_and_says_what_it_serves(classifier: Trained, cache: Path) -> None:
    model = {"source": str(classifier.folder), "precision": "int8"}
    with servers.configured({"places": model}, ready_s=120) as server:
        answer = server.ask("POST", "/models/places/predict", {"inputs": classifier.texts[:5]})
        assert answer.status == 200, answer
        assert [row["label"] for row in answer.json()["outputs"]] == classifier.labels[:5]
        metadata = server.ask("GET", "/v2/models/places").body.decode()
        assert '"precision":"int8"' in metadata
        assert "weights in int8" in metadata


def test_precision_on_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(onnx_bytes())
    said = refused(run("serve", "m.onnx", "--precision", "int2", folder=tmp_path))
    assert "models.m.precision: must be fp32, fp16, bf16, int8 or int4, not 'int2'" in said
    said = refused(run("serve", "m.onnx", "--precision", "int8", folder=tmp_path))
    assert "this graph has nothing to quantize to int8: it consists of Add" in said
