"""Derived models of text folders: answers as torch's, made once, found again, mended when damaged."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from penstock.conversion import child, derive, keys, possible, quality
from penstock.conversion.jobs import Convert, Sample
from penstock.conversion.sentences import TEXTS
from penstock.core.errors import ConfigError, MissingExtra, ModelFileError, SetupError
from penstock.core.model import ModelSpec
from penstock.core.tensors import Array, bytes_array
from penstock.core.text import Precision
from penstock.repository import cache
from penstock.repository.manifest import read_manifest
from penstock.runtimes import registry
from tests.conversion import folders, tabular, trained
from tests.conversion.trained import Trained
from tests.repository.conftest import onnx_bytes
from tests.servers import children

pytest.importorskip("openvino")
pytest.importorskip("nncf")
torch: Any = pytest.importorskip("torch")
pytest.importorskip("transformers")


ASKED = list(TEXTS[::2])


def made(folder: Path, precision: Precision | None = None, sample: Sample | None = None, **options: Any) -> ModelSpec:
    spec = folders.spec(folder, name="m", options=options)
    return derive.resolved(spec, precision, sample, lambda text: None, options)


def answers(spec: ModelSpec, texts: list[str]) -> dict[str, Array]:
    """What a client gets, by the runtime that serves it."""
    runtime = registry.create(spec.runtime)
    runtime.load(msgspec.structs.replace(spec, threads=2))
    return runtime.run({"text": bytes_array(texts), "truncate": np.ones(len(texts), np.bool_)})


@pytest.fixture(scope="module")
def by_torch(minilm: Path) -> Array:
    """MiniLM's embeddings of our texts as sentence-transformers defines them, by transformers and torch alone."""
    import tokenizers
    from transformers import AutoModel

    tokenizer = tokenizers.Tokenizer.from_file(str(minilm / "tokenizer.json"))
    tokenizer.enable_truncation(256)
    tokenizer.no_padding()
    network = AutoModel.from_pretrained(minilm).eval()
    rows = []
    for text in ASKED:
        ids = torch.tensor([tokenizer.encode(text).ids])
        with torch.no_grad():
            mean = network(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state.mean(dim=1)
        rows.append(torch.nn.functional.normalize(mean).numpy()[0])
    return np.array(rows)


@pytest.fixture(scope="module")
def _converted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """An ONNX file, and a model cache that has it in int8."""
    pytest.importorskip("skl2onnx")
    place = tmp_path_factory.mktemp("converted")
    file = tabular.digits(place, "mlp").file
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PENSTOCK_CACHE", str(place / "cache"))
        made(file, "int8")
    return file, place / "cache"


@pytest.fixture
def converted(_converted: tuple[Path, Path], own_cache: Path) -> Path:
    """That file, and the test's own copy of the cache."""
    shutil.copytree(_converted[1], own_cache)
    return _converted[0]


def kept(spec: ModelSpec, by_torch: Array) -> quality.Loss:
    return quality.embeddings(by_torch, answers(spec, ASKED)["embedding"])


# --- MiniLM


def test_minilm_answers_as_torch(minilm: Path, by_torch: Array) -> None:
    spec = made(minilm)
    assert (spec.runtime, spec.format, spec.precision) == ("text", "openvino", "fp32")
    assert kept(spec, by_torch).figures["cosine_min"] > 0.9999
    assert spec.details["report"]["agreement"]["difference_max"] < 1e-5
    assert spec.details["derived_from"]["format"] == "safetensors"


def test_minilm_in_int8_without_data(minilm: Path, by_torch: Array) -> None:
    spec = made(minilm, "int8")
    found = kept(spec, by_torch)
    assert found.figures["cosine_median"] > 0.99
    assert found.figures["top10_overlap"] > 0.9
    assert Path(spec.path).with_suffix(".bin").stat().st_size < 0.3 * (minilm / "model.safetensors").stat().st_size
    assert spec.details["report"]["closeness"]["cosine_median"] > 0.99


def test_minilm_in_int8_calibrated(minilm: Path, by_torch: Array, tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS[1::4]))
    spec = made(minilm, "int8", Sample(file=str(tmp_path / "texts.txt")))
    assert spec.details["report"]["method"] == "int8, calibrated on 39 rows"
    found = kept(spec, by_torch)
    assert found.figures["cosine_median"] > 0.99
    assert found.figures["top10_overlap"] > 0.9


def test_minilm_in_fp16(minilm: Path, by_torch: Array) -> None:
    spec = made(minilm, "fp16")
    assert kept(spec, by_torch).figures["cosine_min"] > 0.9999
    assert Path(spec.path).with_suffix(".bin").stat().st_size < 0.51 * (minilm / "model.safetensors").stat().st_size


# --- a trained classifier


def test_a_classifier_gives_the_labels_of_torch(classifier: Trained) -> None:
    spec = made(classifier.folder)
    found = answers(spec, classifier.texts)
    import tokenizers

    words = tokenizers.Tokenizer.from_file(str(classifier.folder / "tokenizer.json"))
    with torch.no_grad():
        logits = classifier.module(**trained.encoded(words, classifier.texts)).logits
    np.testing.assert_allclose(found["scores"], torch.softmax(logits, 1).numpy(), atol=1e-5)
    expected = [trained.LABELS[best].encode() for best in logits.argmax(1).tolist()]
    assert found["label"].tolist() == expected
    assert np.mean([mine.decode() == label for mine, label in zip(expected, classifier.labels, strict=True)]) > 0.9


# --- the cache


def test_the_second_time_nothing_is_converted(classifier: Trained, tmp_path: Path) -> None:
    first = made(classifier.folder)
    said: list[str] = []
    began = time.perf_counter()
    again = derive.resolved(folders.spec(classifier.folder, name="other"), None, None, said.append)
    assert time.perf_counter() - began < 3
    assert (said, again.path, again.name) == ([], first.path, "other")


def test_what_people_say_about_a_model_stays_their_own(classifier: Trained) -> None:
    cut = made(classifier.folder, truncate=True, max_length=8)
    assert (cut.options["truncate"], cut.options["max_length"]) == (True, 8)
    plain = made(classifier.folder)
    assert plain.path == cut.path
    assert plain.options.get("truncate", False) is False
    assert plain.options["max_length"] == 64


def test_a_damaged_folder_is_made_anew(converted: Path) -> None:
    path = Path(made(converted, "int8").path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    said: list[str] = []
    spec = derive.resolved(folders.spec(converted), "int8", None, said.append)
    assert "is damaged (model.onnx is not the file" in said[0]
    assert "is made anew" in said[0]
    assert Path(spec.path) == path
    assert path.read_bytes() == whole


def test_a_source_that_changed_is_converted_again(tmp_path: Path, own_cache: Path) -> None:
    folder, _ = folders.random(tmp_path / "bert", "bert", "embedding")
    spec = folders.spec(folder)
    before = keys.key_of(spec, "fp32", "openvino", None)
    config = json.loads((folder / "config.json").read_bytes())
    (folder / "config.json").write_text(json.dumps({**config, "hidden_act": "relu"}))
    changed = keys.key_of(folders.spec(folder), "fp32", "openvino", None)
    others = [keys.key_of(spec, "fp32", "onnxruntime", None), keys.key_of(spec, "int8", "openvino", None)]
    (tmp_path / "d.txt").write_text("a\n" * 20)
    others.append(keys.key_of(spec, "int8", "openvino", Sample(file=str(tmp_path / "d.txt"))))
    assert len({before, changed, *others}) == 5


_CONVERTS = """
import sys
from penstock.conversion import derive
from penstock.repository import sources
said = []
spec = derive.resolved(sources.resolve(sys.argv[1]), None, None, said.append)
print(len(said), spec.path, [m for m in sys.modules if m in ("torch", "transformers", "openvino", "nncf")])
"""


def test_two_processes_at_once_convert_once_and_report_to_nobody(tmp_path: Path, own_cache: Path) -> None:
    """Nor do they import torch: it stays in the converter's own process, where nothing leads to telemetry."""
    folder, _ = folders.random(tmp_path / "bert", "bert", "embedding")
    (tmp_path / "person").mkdir()
    environment = {**os.environ, "HOME": str(tmp_path / "person"), "CI": ""}
    command = [sys.executable, "-c", _CONVERTS, str(folder)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) for _ in range(2)]
    lines = [process.communicate(timeout=100)[0].split() for process in running]
    assert sorted(line[0] for line in lines) == ["0", "2"], "one of them says that it converts, and that it has"
    assert lines[0][1] == lines[1][1]
    assert [line[2] for line in lines] == ["[]", "[]"]
    assert not (tmp_path / "person" / "intel").exists(), "openvino_telemetry would keep its identity there"


# --- the process


def test_a_process_that_dies_says_how(tmp_path: Path) -> None:
    folder, _ = folders.random(tmp_path / "bert", "bert", "embedding")
    spec = folders.spec(folder)
    (tmp_path / "out").mkdir()
    job = Convert(spec=spec, folder=str(tmp_path / "out"), precision="fp32", engine="openvino")
    others, seen = children(os.getpid()), []

    def kill(step: str) -> None:
        mine = [pid for pid in children(os.getpid()) if pid not in others]
        seen.extend(mine)
        for pid in mine:
            os.kill(pid, 9)

    with pytest.raises(ModelFileError, match=r"bert cannot be converted: .* signal SIGKILL; .*out of memory"):
        child.run(job, "bert cannot be converted", kill)
    assert seen


def test_a_refusal_leaves_nothing_in_the_cache(tmp_path: Path, own_cache: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(onnx_bytes())
    with pytest.raises(ModelFileError, match="this graph has nothing to quantize to int8: it consists of Add"):
        made(tmp_path / "m.onnx", "int8")
    assert [path.name for path in (own_cache / "derived").iterdir() if path.is_dir()] == []


def test_without_the_libraries_the_extra_is_named(
    tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = folders.random(tmp_path / "bert", "bert", "embedding")
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "transformers" else find(name))
    with pytest.raises(MissingExtra, match=r"pip install 'penstock\[convert\]' \(transformers missing\)"):
        made(folder)


def test_what_others_converted_serves_without_the_libraries(converted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path(made(converted, "int8").path)
    other = path.parent.name[:-4] + "0000"
    path.parent.rename(path.parent.parent / other)
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnx" else find(name))
    assert Path(made(converted, "int8").path).parent.name == other


# --- what cannot be


def test_models_that_are_no_graphs(iris: Any) -> None:
    spec = folders.spec(iris.joblib, trust=frozenset({iris.digest}))
    with pytest.raises(
        ModelFileError, match=r"iris_sk is a .* model, whose precision cannot be changed; export it to ONNX"
    ):
        possible.check(spec, "int8", None)


def test_a_pickled_module_is_no_folder_of_weights(tmp_path: Path) -> None:
    spec = ModelSpec(name="m", runtime="torch", path=str(tmp_path / "m.pt"), format="torch-pickle")
    with pytest.raises(ModelFileError, match="export it to ONNX first"):
        possible.check(spec, "int8", None)


def test_small_is_not_made_smaller(classifier: Trained) -> None:
    with pytest.raises(ConfigError, match="is in int8 already; make int4 from the original"):
        possible.check(made(classifier.folder, "int8"), "int4", None)


def test_calibration_is_for_int8(classifier: Trained, tmp_path: Path) -> None:
    spec = folders.spec(classifier.folder)
    with pytest.raises(ConfigError, match="calibration is for precision: int8; bf16 takes no data"):
        possible.check(spec, "bf16", Sample(file="d.txt"))
    with pytest.raises(ConfigError, match="there is no"):
        possible.check(spec, "int8", Sample(file=str(tmp_path / "d.txt")))


def test_calibration_is_not_for_transformers_on_onnx_runtime(classifier: Trained, tmp_path: Path) -> None:
    spec = folders.spec(classifier.folder, options={"engine": "onnxruntime"})
    with pytest.raises(ConfigError, match="calibrated int8 is for OpenVINO"):
        possible.check(spec, "int8", Sample(file=str(tmp_path / "d.txt")))


def test_a_disk_that_is_too_small(tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, _ = folders.random(tmp_path / "bert", "bert", "embedding")
    monkeypatch.setattr(derive, "_ROOM", 10**12)
    with pytest.raises(SetupError, match="the disk of the model cache is full; free some space, or set PENSTOCK_CACHE"):
        made(folder)


def test_the_manifest_says_where_it_is_from(classifier: Trained) -> None:
    manifest = read_manifest(Path(made(classifier.folder, "int8").path).parent)
    assert (manifest.precision, manifest.runtime, manifest.format) == ("int8", "text", "openvino")
    assert manifest.files.keys() == {"model.bin", "tokenizer.json"}
    assert {"openvino", "nncf", "torch", "transformers"} <= manifest.libraries.keys()
    assert cache.derived(Path(made(classifier.folder, "int8").path).parent.name) is not None
