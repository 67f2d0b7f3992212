"""Hugging Face folders, files in them, and model folders for text, as sources."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from penstock.core.errors import ConfigError, ModelFileError, UntrustedFile
from penstock.core.text import TextModel
from penstock.repository import saving
from penstock.repository.manifest import MANIFEST, Manifest
from penstock.repository.sources import name_of, resolve
from penstock.repository.trust import digest_of
from tests.repository.conftest import onnx_bytes
from tests.repository.folders import MODULES, POOLING, TOKENIZER, folder, ir, put

LABELS = {"architectures": ["BertForSequenceClassification"], "id2label": {"0": "no", "1": "yes"}}


def test_weights_alone_are_a_folder_to_convert(tmp_path: Path) -> None:
    spec = resolve("minilm", base=folder(tmp_path / "minilm").parent)
    assert (spec.name, spec.runtime, spec.format, spec.precision) == ("minilm", "text", "safetensors", "fp32")
    assert spec.path == str(tmp_path / "minilm")
    assert msgspec.convert(spec.options, TextModel).max_length == 64
    assert name_of(str(tmp_path / "minilm")) == "minilm"


@pytest.mark.parametrize("name", ["model.onnx", "onnx/model.onnx", "onnx/model_O4.onnx"])
def test_an_onnx_file_is_served_as_it_is(tmp_path: Path, name: str) -> None:
    home = folder(tmp_path / "m", LABELS, **{name: onnx_bytes(), "model.safetensors": None})
    spec = resolve(str(home))
    assert (spec.runtime, spec.format, spec.path) == ("text", "onnx", str(home / name))
    model = msgspec.convert(spec.options, TextModel)
    assert model.labels == ("no", "yes")
    tokenizer = "tokenizer.json" if "/" not in name else str(home / "tokenizer.json")
    assert model.tokenizer == tokenizer


def test_an_ir_is_served_as_it_is(tmp_path: Path) -> None:
    names = {"openvino/openvino_model.xml": ir(8), "openvino/openvino_model.bin": bytes(8)}
    spec = resolve(str(folder(tmp_path / "m", **names)))
    assert (spec.format, Path(spec.path).name) == ("openvino", "openvino_model.xml")
    put(tmp_path / "m" / "openvino" / "openvino_model.bin", bytes(3))
    with pytest.raises(ModelFileError, match="needs 8 bytes, and it has 3"):
        resolve(str(tmp_path / "m"))


def test_a_file_in_the_folder_is_the_same_text_model(tmp_path: Path) -> None:
    """Named in the folder or in its onnx/, with the pooling of the folder."""
    files = {"modules.json": MODULES, POOLING: {"pooling_mode_cls_token": True}}
    home = folder(tmp_path / "m", **files, **{"onnx/model_O4.onnx": onnx_bytes(), "onnx/model.onnx": onnx_bytes()})
    for spec in (resolve(str(home / "onnx/model_O4.onnx")), resolve(str(home), options={"file": "onnx/model_O4.onnx"})):
        assert spec.path == str(home / "onnx/model_O4.onnx")
        assert spec.options["pooling"] == "cls"
    assert resolve(str(home)).path == str(home / "onnx/model.onnx")


def test_plain_tensors_when_asked(tmp_path: Path) -> None:
    home = folder(tmp_path / "m", **{"onnx/model.onnx": onnx_bytes()})
    for source in (home, home / "onnx/model.onnx"):
        spec = resolve(str(source), runtime="onnx")
        assert (spec.runtime, spec.format, spec.options) == ("onnx", "onnx", {})
    with pytest.raises(ModelFileError, match="no ONNX or OpenVINO file for the runtime onnx"):
        resolve(str(folder(tmp_path / "n")), runtime="onnx")


def test_an_onnx_file_without_a_folder_of_text(tmp_path: Path) -> None:
    put(tmp_path / "m.onnx", onnx_bytes())
    put(tmp_path / "config.json", {})
    assert resolve(str(tmp_path / "m.onnx")).runtime == ""
    with pytest.raises(ModelFileError, match=r"no config\.json and tokenizer\.json beside it"):
        resolve(str(tmp_path / "m.onnx"), runtime="text")


def test_a_bare_ir(tmp_path: Path) -> None:
    put(tmp_path / "m.xml", ir(8))
    put(tmp_path / "m.bin", bytes(8))
    spec = resolve(str(tmp_path / "m.xml"))
    assert (spec.name, spec.runtime, spec.format) == ("m", "", "openvino")
    (tmp_path / "m.bin").unlink()
    with pytest.raises(ModelFileError, match="not beside it"):
        resolve(str(tmp_path / "m.xml"))


def test_weights_named_alone(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="name the folder"):
        resolve(str(folder(tmp_path / "m") / "model.safetensors"))


def test_a_pickle_needs_trust(tmp_path: Path) -> None:
    home = folder(tmp_path / "m", **{"model.safetensors": None, "pytorch_model.bin": b"PK\x03\x04 and so on"})
    digest = digest_of(home / "pytorch_model.bin")
    with pytest.raises(UntrustedFile, match=f"sha256:{digest}"):
        resolve(str(home))
    spec = resolve(str(home), trust=frozenset({f"sha256:{digest}"}))
    assert (spec.format, spec.trusted, spec.sha256, spec.path) == ("torch-pickle", True, digest, str(home))


def test_code_of_the_folder_never_runs(tmp_path: Path) -> None:
    config = {"auto_map": {"AutoModel": "modeling_evil.EvilModel"}}
    home = folder(tmp_path / "m", config, **{"modeling_evil.py": b"open('mark', 'w')"})
    with pytest.raises(ModelFileError, match=r"auto_map.*runs no code"):
        resolve(str(home))
    put(home / "model.onnx", onnx_bytes())
    assert resolve(str(home)).format == "onnx"


@pytest.mark.parametrize(
    "config",
    [
        {"_attn_implementation": "someone/kernel"},
        {"attn_implementation": {"": "someone/kernel"}},
        {"text_config": {"_attn_implementation_internal": "someone/kernel@main:attention"}},
        {"_experts_implementation": "someone/kernel"},
    ],
)
def test_kernels_of_the_hub_are_code_too(tmp_path: Path, config: dict[str, Any]) -> None:
    with pytest.raises(ModelFileError, match=r"names a kernel.*someone/kernel.*runs no code"):
        resolve(str(folder(tmp_path / "m", config)))
    assert resolve(str(folder(tmp_path / "n", {"_attn_implementation": "eager"}))).format == "safetensors"


def test_weights_that_another_library_quantized(tmp_path: Path) -> None:
    home = folder(tmp_path / "m", {"quantization_config": {"quant_method": "gptq"}})
    with pytest.raises(ModelFileError, match="quantized by gptq"):
        resolve(str(home))


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("model.safetensors", b"\x10" + bytes(7) + b"{}", "model.safetensors is truncated"),
        ("model.onnx", b"\x08\x09\x3a" + b"\xff" * 8 + b"\x7f" + b"rest", "model.onnx is truncated"),
        ("model.onnx", b"not a model at all", "no model file that Penstock knows"),
        ("model.xml", b"<?xml version='1.0'?><PMML/>", "a PMML model"),
        ("model.xml", ir()[:-10], "truncated or damaged: it begins as an OpenVINO IR model"),
    ],
)
def test_damaged_weights(tmp_path: Path, name: str, data: bytes, reason: str) -> None:
    with pytest.raises(ModelFileError, match=reason) as refusal:
        resolve(str(folder(tmp_path / "m", **{name: data})))
    assert str(tmp_path) not in refusal.value.message


def test_weights_behind_a_link_that_leads_out(tmp_path: Path) -> None:
    home = folder(tmp_path / "m")
    (home / "model.safetensors").rename(tmp_path / "elsewhere.safetensors")
    (home / "model.safetensors").symlink_to(tmp_path / "elsewhere.safetensors")
    with pytest.raises(ModelFileError, match="leads out of the folder"):
        resolve(str(home))


def test_options_of_a_person(tmp_path: Path) -> None:
    home = folder(tmp_path / "m")
    assert resolve(str(home), options={"pooling": "cls", "truncate": True}).options["truncate"] is True
    with pytest.raises(ConfigError, match="did you mean 'normalize'"):
        resolve(str(home), options={"normalise": True})


# --- model folders


@pytest.fixture
def made(tmp_path: Path) -> Path:
    with saving.replacing(tmp_path / "made") as fresh:
        put(fresh / "model.xml", ir(8))
        put(fresh / "model.bin", bytes(8))
        put(fresh / "tokenizer.json", TOKENIZER)
        files = {name: digest_of(fresh / name) for name in ("model.bin", "tokenizer.json")}
        manifest = Manifest(
            name="minilm", runtime="text", format="openvino", file="model.xml", sha256=digest_of(fresh / "model.xml"),
            files=files, precision="int8", options=msgspec.to_builtins(TextModel(task="embedding", normalize=True)),
            derived_from={"sha256": "ab" * 32}, report={"loss": 0.001},
        )  # fmt: skip
        saving.write_manifest(fresh, manifest)
    return tmp_path / "made"


def rewrite(folder: Path, **changes: Any) -> None:
    path = folder / MANIFEST
    path.write_bytes(msgspec.json.encode(msgspec.json.decode(path.read_bytes()) | changes))


def test_a_model_folder(made: Path) -> None:
    spec = resolve(str(made), options={"truncate": True})
    assert (spec.name, spec.runtime, spec.format, spec.precision) == ("minilm", "text", "openvino", "int8")
    assert spec.details == {"derived_from": {"sha256": "ab" * 32}, "report": {"loss": 0.001}}
    model = msgspec.convert(spec.options, TextModel)
    assert (model.normalize, model.truncate, model.tokenizer) == (True, True, "tokenizer.json")


@pytest.mark.parametrize("name", ["model.xml", "model.bin", "tokenizer.json"])
def test_every_file_is_held_to_its_digest(made: Path, name: str) -> None:
    data = (made / name).read_bytes()
    put(
        made / name, data.replace(b"shoes", b"boots") if name == "tokenizer.json" else data.replace(b"\0", b"\1") + b" "
    )
    with pytest.raises(ModelFileError, match=f"{name} is not the file that"):
        resolve(str(made))
    (made / name).unlink()
    with pytest.raises(ModelFileError, match=f"names {name}, which is not in the folder"):
        resolve(str(made))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"files": {}}, r"its weights are in model\.bin, which needs a digest"),
        ({"files": {"../x": "ab" * 32}}, r"plain names and their sha256 - at `\$\.files`"),
        ({"files": {"model.bin": "12"}}, r"\$\.files"),
        ({"options": {"task": "poetry"}}, r"in `\$\.options`"),
        ({"options": {"task": "embedding", "tokenizer": "other.json"}}, r"its words are in other\.json"),
        ({"options": {"task": "embedding", "tokenizer": "../../etc/passwd"}}, "needs a digest"),
    ],
)
def test_manifests_that_leave_something_out(made: Path, changes: dict[str, Any], reason: str) -> None:
    rewrite(made, **changes)
    with pytest.raises(ModelFileError, match=reason):
        resolve(str(made))


def test_wrong_options_for_a_model_folder(made: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'truncate'"):
        resolve(str(made), options={"trunkate": True})
    assert resolve(str(made), options={"max_length": 64}).options["max_length"] == 64
    with pytest.raises(ConfigError, match=r"max_length is 513, and this model reads at most 512 tokens"):
        resolve(str(made), options={"max_length": 513})


def test_other_runtimes_keep_their_options(tmp_path: Path) -> None:
    with saving.replacing(tmp_path / "m") as fresh:
        put(fresh / "m.onnx", onnx_bytes())
        put(fresh / "m.data", b"weights")
        files = {"m.data": digest_of(fresh / "m.data")}
        manifest = Manifest(name="m", runtime="onnx", format="onnx", file="m.onnx", sha256=digest_of(fresh / "m.onnx"),
                            files=files, options={"inference": "f32"})  # fmt: skip
        saving.write_manifest(fresh, manifest)
    assert resolve(str(tmp_path / "m")).options == {"inference": "f32"}
    put(tmp_path / "m" / "m.data", b"others!")
    with pytest.raises(ModelFileError, match=r"m\.data is not the file"):
        resolve(str(tmp_path / "m"))
