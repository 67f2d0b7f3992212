"""A source's digest changes when, and only when, something changes that decides its answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.core.errors import ModelFileError
from penstock.core.model import ModelSpec
from penstock.repository.digests import source_digest
from penstock.repository.sources import resolve
from tests.repository.conftest import onnx_bytes
from tests.repository.folders import BERT, MODULES, POOLING, TOKENIZER, folder, ir, put, safetensors


@pytest.fixture
def model(tmp_path: Path) -> Path:
    files = {"modules.json": MODULES, POOLING: {"pooling_mode_cls_token": True}, "README.md": b"read me"}
    return folder(tmp_path / "m", **files)


def test_the_same_wherever_it_lies(model: Path, tmp_path: Path) -> None:
    before = source_digest(resolve(str(model)))
    assert source_digest(resolve(str(model.rename(tmp_path / "moved")))) == before
    assert len(before) == 64


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("config.json", BERT | {"layer_norm_eps": 1e-5}),
        ("tokenizer.json", TOKENIZER | {"added_tokens": []}),
        ("model.safetensors", safetensors(numbers=5)),
        (POOLING, {"pooling_mode_mean_tokens": True}),
        ("sentence_bert_config.json", {"max_seq_length": 16}),
        ("tokenizer_config.json", {"model_max_length": 16}),
    ],
)
def test_what_matters(model: Path, name: str, value: object) -> None:
    before = source_digest(resolve(str(model)))
    put(model / name, value)
    assert source_digest(resolve(str(model))) != before


def test_what_does_not_matter(model: Path) -> None:
    before = source_digest(resolve(str(model)))
    put(model / "README.md", b"read me again")
    put(model / "notes.bin", b"x")
    assert source_digest(resolve(str(model))) == before


def test_a_graph_of_a_text_model(model: Path) -> None:
    put(model / "onnx" / "model.onnx", onnx_bytes())
    before = source_digest(resolve(str(model)))
    put(model / "onnx" / "model.onnx_data", b"weights")
    with_data = source_digest(resolve(str(model)))
    put(model / "tokenizer.json", TOKENIZER | {"added_tokens": []})
    assert len({before, with_data, source_digest(resolve(str(model)))}) == 3


def test_files_of_any_kind(tmp_path: Path) -> None:
    put(tmp_path / "m.onnx", onnx_bytes())
    put(tmp_path / "weights", b"1")
    spec = resolve(str(tmp_path / "m.onnx"))
    alone, with_weights = source_digest(spec), source_digest(spec, ["weights"])
    put(tmp_path / "weights", b"2")
    assert source_digest(spec) == alone
    assert len({alone, with_weights, source_digest(spec, ["weights"])}) == 3


def test_an_ir_and_its_weights(tmp_path: Path) -> None:
    put(tmp_path / "m.xml", ir(8))
    put(tmp_path / "m.bin", bytes(8))
    before = source_digest(resolve(str(tmp_path / "m.xml")))
    put(tmp_path / "m.bin", bytes(7) + b"1")
    assert source_digest(resolve(str(tmp_path / "m.xml"))) != before


def test_a_source_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="not there any more"):
        source_digest(ModelSpec(name="m", runtime="text", path=str(tmp_path / "gone")))
    with pytest.raises(ModelFileError, match="not there any more"):
        source_digest(ModelSpec(name="m", runtime="onnx", path=str(tmp_path / "gone" / "m.onnx")))
