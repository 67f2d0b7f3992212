"""Language models in the configuration: an engine, a context and room in memory, told without loading anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from penstock.config import languages
from penstock.config.models import check, spec_of
from penstock.config.schema import ModelSettings
from penstock.core.errors import ConfigError, MissingExtra
from penstock.core.language import LanguageModel
from penstock.routing.settings import CacheSettings
from penstock.runtimes.generation import choice, memory
from tests.repository import ggufs


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every engine, and no GPU."""
    monkeypatch.setattr(choice, "installed", lambda name: True)
    monkeypatch.setattr(choice, "has_gpu", lambda: False)
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path / "home"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return ggufs.write(tmp_path / "m.gguf")


def model_of(file: Path, **settings: Any) -> LanguageModel:
    spec = spec_of("m", ModelSettings(source=str(file), **settings), file.parent)
    assert (spec.runtime, spec.platform, spec.precision) == ("llm", "penstock_llm", "Q8_0")
    return msgspec.convert(spec.options, LanguageModel)


def test_what_a_worker_gets(file: Path) -> None:
    model = model_of(file, options={"sequences": 3, "kv_precision": "u8", "engine_options": {"step_ms": 100}})
    assert (model.engine, model.reason) == ("openvino", "the fastest on CPUs for llama in Q8_0")
    assert (model.context, model.sequences, model.kv_precision) == (64, 3, "u8")
    assert model_of(file, options={"engine": "llamacpp", "context": 32}).reason == "the settings name it"


def test_a_context_that_fits(file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    large = ggufs.write(tmp_path / "large.gguf", ggufs.settings(llama__context_length=10_000_000))
    monkeypatch.setattr(memory, "available", lambda device: 3 * 10**9)
    assert 512 < model_of(large).context < 10_000_000
    assert model_of(large, replicas=2).context < model_of(large).context
    with pytest.raises(ConfigError, match=r"^m does not fit into memory: it needs .* it would fit with context: \d+"):
        model_of(large, options={"context": 9_000_000})
    assert model_of(large, options={"context": 9_000_000, "memory_check": False}).context == 9_000_000


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"precision": "int8"}, "precision is not for language models; take files in another quantization"),
        ({"calibration": "rows.csv"}, "calibration is not for language models"),
        ({"cache": CacheSettings()}, "cache is for answers to rows.*prefix_cache"),
        ({"output": "label"}, "output is for models of rows"),
        ({"batched": True}, "batched is for models of rows"),
        ({"example": [[1]]}, "example is for models of rows"),
        ({"options": {"adapters": {"mine": "nowhere"}}}, "options.adapters.mine names nowhere, which is not there"),
        ({"options": {"speculative": "draft.gguf"}}, r"options.speculative names draft\.gguf.* or prompt_lookup"),
        ({"options": {"engine": "vllm"}}, "vllm does not read a GGUF file; openvino and llamacpp can"),
        ({"device": "cuda:0", "options": {"engine": "openvino"}}, "is nothing for openvino"),
        ({"runtime": "onnx"}, "onnx does not read gguf; llm can"),
    ],
)
def test_what_is_refused(file: Path, settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        model_of(file, **settings)
    with pytest.raises(ConfigError, match=reason):
        check("m", ModelSettings(source=str(file), **settings), file.parent)


def test_paths_start_where_sources_do(file: Path) -> None:
    (file.parent / "lora.safetensors").write_bytes(b"x")
    (file.parent / "draft.gguf").write_bytes(b"x")
    model = model_of(file, options={"adapters": {"mine": "lora.safetensors"}, "speculative": "draft.gguf"})
    assert model.adapters == {"mine": str(file.parent / "lora.safetensors")}
    assert model.speculative == str(file.parent / "draft.gguf")
    assert model_of(file, options={"speculative": "prompt_lookup"}).speculative == "prompt_lookup"


def test_an_engine_that_is_not_installed(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "installed", lambda name: False)
    with pytest.raises(MissingExtra, match=r"pip install 'penstock\[llm\]'"):
        model_of(file)


def test_the_runtime_is_this_one() -> None:
    assert languages.RUNTIME == "llm"


@pytest.mark.parametrize("defaults", [{"top_k": "many"}, {"temperature": 9}, {"seed": 1}])
def test_wrong_defaults_of_sampling(file: Path, defaults: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="defaults"):
        check("m", ModelSettings(source=str(file), options={"defaults": defaults}), file.parent)
