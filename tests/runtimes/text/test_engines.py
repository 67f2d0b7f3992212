"""Engines: the same answers from each, chosen by the file, and their refusals in words."""

from __future__ import annotations

import importlib.util
import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from penstock.core.errors import ConfigError, MissingExtra, ModelFileError
from penstock.core.model import ModelSpec
from penstock.core.tensors import Array
from penstock.core.text import TextModel
from penstock.runtimes import openvino
from penstock.runtimes.openvino import library
from penstock.runtimes.text.engines import choice
from penstock.runtimes.text.engines.feed import Feed
from penstock.runtimes.text.runtime import TextRuntime
from tests.runtimes.text.tiny import TEXTS, Tiny, loaded, texts


def near(got: Array, wanted: Array, tolerance: float = 2e-4) -> None:
    np.testing.assert_allclose(got, wanted, rtol=tolerance, atol=tolerance)


def elsewhere(model: Tiny, path: Path, format: str, **options: Any) -> ModelSpec:
    """The model's spec, but of another file."""
    tokenizer = str(Path(model.spec.path).parent / "tokenizer.json")
    described = model.described(tokenizer=tokenizer, **options)
    return msgspec.structs.replace(described, path=str(path), format=format)


def ir(model: Tiny, folder: Path) -> Path:
    """The model's file as OpenVINO IR."""
    found = library()
    found.save_model(found.Core().read_model(model.spec.path), folder / "m.xml", compress_to_fp16=False)
    return folder / "m.xml"


@pytest.mark.parametrize("name", ["embedder", "classifier"])
def test_ir_files(request: pytest.FixtureRequest, name: str, tmp_path: Path) -> None:
    model: Tiny = request.getfixturevalue(name)
    said = {"text": texts(TEXTS)}
    wanted = loaded(model.described(engine="onnxruntime")).run(said)
    got = loaded(elsewhere(model, ir(model, tmp_path), "openvino")).run(said)
    for output in ("embedding", "scores"):
        if output in wanted:
            near(got[output], wanted[output])


def test_less_arithmetic_gives_nearly_the_same(embedder: Tiny) -> None:
    said = {"text": texts(TEXTS)}
    wanted = loaded(embedder.described(normalize=True)).run(said)["embedding"]
    got = loaded(embedder.described(normalize=True, inference="bf16")).run(said)["embedding"]
    assert ((got * wanted).sum(axis=1) > 0.99).all()
    if "BF16" in library().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        assert not np.array_equal(got, wanted)


def test_settings_reach_openvino(embedder: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[Any] = []
    compile_model = openvino.compile_model

    def noting(*given: Any, **settings: Any) -> Any:
        compiled.append(compile_model(*given, **settings))
        return compiled[-1]

    monkeypatch.setattr(openvino, "compile_model", noting)
    loaded(msgspec.structs.replace(embedder.described(dynamic_quantization=64), threads=2))
    loaded(embedder.spec)
    wanted = {"DYNAMIC_QUANTIZATION_GROUP_SIZE": [64, 0], "INFERENCE_NUM_THREADS": [2, 1], "NUM_STREAMS": [1, 1],
              "ENABLE_CPU_PINNING": [False, False]}  # fmt: skip
    assert {name: [each.get_property(name) for each in compiled] for name in wanted} == wanted


@pytest.fixture(scope="module")
def folder(classifier: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The classifier as transformers saves it."""
    folder = tmp_path_factory.mktemp("folder")
    classifier.module.save_pretrained(folder)
    classifier.tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def test_a_safetensors_folder_on_torch(classifier: Tiny, folder: Path) -> None:
    spec = msgspec.structs.replace(classifier.described(engine="torch"), path=str(folder), format="safetensors")
    runtime, wanted = loaded(spec), loaded(classifier.spec)
    for inputs in ({"text": texts(TEXTS)}, {"text": texts(TEXTS), "text_pair": texts(TEXTS[::-1])}):
        near(runtime.run(inputs)["scores"], wanted.run(inputs)["scores"])
    half = loaded(msgspec.structs.replace(spec, options={**spec.options, "inference": "bf16"}))
    near(half.run({"text": texts(TEXTS)})["scores"], wanted.run({"text": texts(TEXTS)})["scores"], 0.1)


def test_a_safetensors_folder_needs_a_gpu_or_converting(classifier: Tiny, folder: Path) -> None:
    spec = msgspec.structs.replace(classifier.spec, path=str(folder), format="safetensors", device="cpu")
    with pytest.raises(ModelFileError, match=r"penstock\[convert\].*engine: torch"):
        TextRuntime().load(spec)


def damaged(folder: Path, target: Path, **files: bytes | None) -> Path:
    """A copy of the folder with some files replaced, or left out (None); "_" in names stands for "."."""
    target.mkdir()
    for file in folder.iterdir():
        content = files.get(file.name.replace(".", "_"), file.read_bytes())
        if content is not None:
            (target / file.name).write_bytes(content)
    return target


def test_damaged_folders_on_torch(classifier: Tiny, folder: Path, tmp_path: Path) -> None:
    weights = (folder / "model.safetensors").read_bytes()
    config = json.loads((folder / "config.json").read_bytes())

    def refusal(number: int, **files: bytes | None) -> str:
        path = damaged(folder, tmp_path / str(number), **files)
        spec = msgspec.structs.replace(classifier.described(engine="torch"), path=str(path), format="safetensors")
        with pytest.raises(ModelFileError) as raised:
            TextRuntime().load(spec)
        assert str(tmp_path) not in raised.value.message
        return raised.value.message

    changed = {
        key: json.dumps({**config, **change}).encode()
        for key, change in {
            "code": {"model_type": "mine", "auto_map": {"AutoModel": "evil.Model"}, "architectures": ["X"]},
            "wide": {"hidden_size": 64},
            "deep": {"num_hidden_layers": 3},
        }.items()
    }
    assert "truncated or damaged" in refusal(0, model_safetensors=weights[: len(weights) // 2])
    assert "a file is missing" in refusal(1, model_safetensors=None)
    assert "cannot load the folder" in refusal(2, config_json=b"{")
    assert "architecture is unknown" in refusal(3, config_json=changed["code"])
    assert "shapes that config.json describes" in refusal(4, config_json=changed["wide"])
    assert "no weights for 16 parts" in refusal(5, config_json=changed["deep"])


def test_the_engine_is_chosen_by_file_and_device(embedder: Tiny) -> None:
    spec, model = embedder.spec, TextModel(task="embedding")

    def chosen(**changes: Any) -> str:
        return choice.choose(msgspec.structs.replace(spec, **changes), model)

    assert chosen() == chosen(format="openvino") == "openvino"
    assert chosen(device="cuda:0") == "onnxruntime"
    assert chosen(device="cuda", format="safetensors") == "torch"
    with pytest.raises(ConfigError, match="OpenVINO uses the CPU"):
        chosen(device="cuda", format="openvino")


def test_without_openvino_onnx_runtime_runs_onnx_files(embedder: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "openvino" else find(name))
    assert choice.choose(embedder.spec, TextModel(task="embedding")) == "onnxruntime"
    with pytest.raises(MissingExtra, match=r"penstock\[openvino\]"):
        TextRuntime().load(embedder.described(engine="openvino"))


def test_what_openvino_does_not_take_goes_to_onnx_runtime_and_says_so(
    embedder: Tiny, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import onnx

    proto = onnx.load(embedder.spec.path)
    proto.graph.output[0].name = "own"
    # An operator that only ONNX Runtime has; it changes nothing.
    proto.graph.node.append(onnx.helper.make_node("SampleOp", ["last_hidden_state"], ["own"], domain="com.microsoft"))
    proto.opset_import.append(onnx.helper.make_opsetid("com.microsoft", 1))
    (tmp_path / "own.onnx").write_bytes(proto.SerializeToString())
    said = {"text": texts(TEXTS)}
    with caplog.at_level(logging.WARNING, "penstock.runtimes.text"):
        got = loaded(elsewhere(embedder, tmp_path / "own.onnx", "onnx")).run(said)["embedding"]
    assert "an operation that this version lacks; ONNX Runtime runs it instead" in caplog.text
    near(got, loaded(embedder.spec).run(said)["embedding"])
    for options in ({"engine": "openvino"}, {"inference": "bf16"}):
        with pytest.raises(ModelFileError, match="an operation that this version lacks"):
            TextRuntime().load(elsewhere(embedder, tmp_path / "own.onnx", "onnx", **options))


def test_inputs_by_name_and_type() -> None:
    ids = np.array([[0, 5, 1]])
    mask = np.array([[1, 1, 0]])
    whole, short = np.dtype(np.int64), np.dtype(np.int32)
    feed = Feed({"attention_mask": short, "input_ids": whole, "token_type_ids": whole}, "bert", 0)(ids, mask, None)
    assert {name: (a.dtype, a.tolist()) for name, a in feed.items()} == {
        "attention_mask": (short, [[1, 1, 0]]), "input_ids": (whole, [[0, 5, 1]]), "token_type_ids": (whole, [[0] * 3]),
    }  # fmt: skip
    for architecture, first in (("bert", 0), ("xlm-roberta", 2)):
        feed = Feed({"input_ids": whole, "position_ids": whole}, architecture, 1)(ids, mask, None)
        assert feed["position_ids"].tolist() == [[first, first + 1, first + 2]]


def test_openvino_reports_to_nobody(tmp_path: Path) -> None:
    code = (
        "from penstock.runtimes.openvino import library\n"
        "import sys; library(); print(library().__version__, sys.modules['openvino_telemetry'])"
    )
    done = subprocess.run([sys.executable, "-c", code], env={"HOME": str(tmp_path), "PATH": ""}, check=True,
                          capture_output=True, text=True, timeout=60)  # fmt: skip
    assert done.stdout.endswith("None\n")
    assert not list(tmp_path.iterdir())
