"""Which engine is chosen, and why; what cannot be had is refused with what can."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from penstock.core.errors import ConfigError, MissingExtra
from penstock.core.language import LanguageModel
from penstock.runtimes.generation import choice, devices
from penstock.runtimes.generation.choice import ENGINES, choose, place


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Says which engines are installed, and whether there is a GPU."""

    def say(*installed: str, gpu: bool = False) -> None:
        libraries = {ENGINES[name].library for name in installed}
        known = {engine.library for engine in ENGINES.values()}
        real = importlib.util.find_spec

        def find(name: str, *rest: Any) -> Any:
            if name in known:
                return object() if name in libraries else None
            return real(name, *rest)

        monkeypatch.setattr(choice.importlib.util, "find_spec", find)
        monkeypatch.setattr(choice, "has_gpu", lambda: gpu)

    return say


def model(**changes: Any) -> LanguageModel:
    return LanguageModel(**{"architecture": "llama", "quantization": "Q4_0", **changes})


@pytest.mark.parametrize("quantization", ["Q4_0", "Q4_1", "Q4_K_M", "Q6_K", "Q8_0", "F16"])
@pytest.mark.parametrize("architecture", ["llama", "qwen2", "qwen3"])
def test_gguf_that_openvino_reads(machine: Any, architecture: str, quantization: str) -> None:
    machine("openvino", "llamacpp")
    name, reason = choose(model(architecture=architecture, quantization=quantization), "gguf", "auto", "m.gguf")
    assert (name, reason) == ("openvino", f"the fastest on CPUs for {architecture} in {quantization}")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"architecture": "gemma3"}, "OpenVINO does not read the architecture gemma3"),
        ({"quantization": "Q5_K_M"}, "OpenVINO does not read Q5_K_M weights"),
        ({"quantization": "Q4_K_M, Q5_0"}, "OpenVINO does not read Q5_0 weights"),
        ({"quantization": "IQ4_XS"}, "OpenVINO does not read IQ4_XS weights"),
        ({"experts": 8}, "OpenVINO does not read mixtures of experts"),
        ({"rope": "llama3"}, "OpenVINO does not read scaled positions (llama3)"),
    ],
)
def test_other_gguf(machine: Any, changes: dict[str, Any], reason: str) -> None:
    machine("openvino", "llamacpp")
    assert choose(model(**changes), "gguf", "cpu", "m.gguf") == ("llamacpp", reason)
    with pytest.raises(ConfigError, match=r"engine: openvino does not read GGUF files with .*; llamacpp can"):
        choose(model(engine="openvino", **changes), "gguf", "cpu", "m.gguf")


def test_a_fallback_is_said(machine: Any) -> None:
    machine("llamacpp")
    name, reason = choose(model(), "gguf", "auto", "m.gguf")
    assert name == "llamacpp"
    assert "OpenVINO GenAI would be faster, and is not installed" in reason


def test_gguf_on_a_gpu(machine: Any) -> None:
    machine("openvino", "llamacpp", gpu=True)
    assert choose(model(), "gguf", "cuda:1", "m.gguf")[0] == "llamacpp"
    with pytest.raises(ConfigError, match="cuda:0 is nothing for openvino, which computes on the CPU"):
        choose(model(engine="openvino"), "gguf", "cuda:0", "m.gguf")


def test_folders(machine: Any) -> None:
    machine("transformers", "vllm", gpu=True)
    assert choose(model(), "causal-lm", "auto", "m") == ("vllm", "a folder of safetensors, and there is a GPU")
    assert choose(model(), "causal-lm", "cpu", "m")[0] == "transformers"
    machine("transformers", gpu=True)
    name, reason = choose(model(), "causal-lm", "auto", "m")
    assert (name, reason) == ("transformers", "a folder of safetensors on a GPU, and vLLM is not installed")
    machine("transformers", "vllm")
    name, reason = choose(model(), "causal-lm", "auto", "m")
    assert name == "transformers"
    assert "a GGUF file or an OpenVINO IR of it would be faster" in reason
    assert choose(model(engine="vllm"), "causal-lm", "cpu", "m") == ("vllm", "the settings name it")


def test_an_ir_is_for_openvino(machine: Any) -> None:
    machine("openvino", "vllm", gpu=True)
    assert choose(model(), "openvino-llm", "auto", "m") == ("openvino", "the folder is an OpenVINO IR")


@pytest.mark.parametrize(
    ("engine", "format", "reason"),
    [
        ("vllm", "gguf", "engine: vllm does not read a GGUF file; openvino and llamacpp can"),
        ("transformers", "gguf", "openvino and llamacpp can"),
        ("llamacpp", "causal-lm", "engine: llamacpp does not read a folder of safetensors; vllm and transformers can"),
        ("openvino", "causal-lm", "vllm and transformers can"),
        ("llamacpp", "openvino-llm", "does not read an OpenVINO IR folder; openvino can"),
    ],
)
def test_an_engine_that_does_not_read_the_files(machine: Any, engine: str, format: str, reason: str) -> None:
    machine(*ENGINES)
    with pytest.raises(ConfigError, match=reason):
        choose(model(engine=engine), format, "auto", "m")


@pytest.mark.parametrize(
    ("format", "changes", "extra"),
    [
        ("gguf", {}, r"penstock\[llm\].*openvino_genai is missing"),
        ("gguf", {"architecture": "gemma3"}, r"penstock\[llamacpp\]"),
        ("causal-lm", {}, r"penstock\[transformers\]"),
        ("causal-lm", {"engine": "vllm"}, r"penstock\[vllm\]"),
        ("openvino-llm", {}, r"penstock\[llm\]"),
    ],
)
def test_what_is_not_installed(machine: Any, format: str, changes: dict[str, Any], extra: str) -> None:
    machine()
    with pytest.raises(MissingExtra, match=extra):
        choose(model(**changes), format, "auto", "m")


def test_other_formats(machine: Any) -> None:
    machine(*ENGINES)
    with pytest.raises(ConfigError, match="no engine generates text from onnx"):
        choose(model(), "onnx", "auto", "m")


def test_where_an_engine_computes(machine: Any) -> None:
    machine(*ENGINES, gpu=True)
    assert (place("vllm", "auto"), place("openvino", "auto"), place("vllm", "cpu")) == ("cuda", "cpu", "cpu")
    assert place("llamacpp", "cuda:1") == "cuda:1"
    machine(*ENGINES)
    assert place("transformers", "auto") == "cpu"


def test_what_nvidia_smi_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program of that name which answers as the real one does."""
    program = tmp_path / "nvidia-smi"
    program.write_text('#!/bin/sh\necho "$*" >> "$0.log"\necho "NVIDIA H200, 143771, 143000"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    found = devices.gpu("cuda:1")
    assert found == devices.Gpu("NVIDIA H200", 143771 * 2**20, 143000 * 2**20)
    assert "--id=5" in (tmp_path / "nvidia-smi.log").read_text()
    program.write_text("#!/bin/sh\necho 'No devices were found'\nexit 6\n")
    assert devices.gpu("auto") is None
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert not devices.has_gpu()
