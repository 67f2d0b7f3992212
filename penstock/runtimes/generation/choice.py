"""Which engine generates, for these files on this machine, and why."""

from __future__ import annotations

import importlib.util
from typing import NamedTuple

from penstock.core.errors import ConfigError, MissingExtra
from penstock.core.language import EngineName, LanguageModel
from penstock.runtimes.generation.devices import has_gpu


class Engine(NamedTuple):
    """`library`: what it imports; `extra`: what installs that. `formats`: what it reads. `gpu`: whether it can use
    one."""

    title: str
    library: str
    extra: str
    formats: tuple[str, ...]
    gpu: bool


ENGINES: dict[str, Engine] = {
    "openvino": Engine("OpenVINO GenAI", "openvino_genai", "llm", ("gguf", "openvino-llm"), gpu=False),
    "llamacpp": Engine("llama.cpp", "llama_cpp", "llamacpp", ("gguf",), gpu=True),
    "vllm": Engine("vLLM", "vllm", "vllm", ("causal-lm",), gpu=True),
    "transformers": Engine("transformers", "transformers", "transformers", ("causal-lm",), gpu=True),
}
# What OpenVINO GenAI's reader of GGUF knows. It reads neither scaled positions nor mixtures of experts.
_ARCHITECTURES = ("llama", "qwen2", "qwen3")
_QUANTIZATIONS = frozenset({"Q4_0", "Q4_1", "Q4_K_M", "Q6_K", "Q8_0", "F16"})
_FILES = {"gguf": "a GGUF file", "causal-lm": "a folder of safetensors", "openvino-llm": "an OpenVINO IR folder"}


def choose(model: LanguageModel, format: str, device: str, path: str) -> tuple[EngineName, str]:
    """The engine for a model's files, and the reason in words.

    `device`: "auto", "cpu", "cuda" or "cuda:N". Raises `ConfigError` when the engine asked for cannot read the files or
    use the device, `MissingExtra` naming the extra of one that is not installed.
    """
    if format not in _FILES:
        raise ConfigError(f"no engine generates text from {format or 'such files'}; these do: {', '.join(_FILES)}")
    name, reason = _asked(model, format) if model.engine != "auto" else _found(model, format, device)
    if device.startswith("cuda") and not ENGINES[name].gpu:
        raise ConfigError(f"device: {device} is nothing for {name}, which computes on the CPU")
    require(name)
    return name, reason


def place(name: str, device: str) -> str:
    """Where an engine computes: "cpu", "cuda" or "cuda:N"."""
    if device.startswith("cuda"):
        return device
    return "cuda" if device == "auto" and name in ("vllm", "transformers") and has_gpu() else "cpu"


def installed(name: str) -> bool:
    """Whether an engine's library is there; imports nothing."""
    return importlib.util.find_spec(ENGINES[name].library) is not None


def require(name: str) -> None:
    """Raises `MissingExtra`, naming the extra, unless the engine is installed."""
    if not installed(name):
        engine = ENGINES[name]
        raise MissingExtra(
            f"{engine.title} generates this model's text, and needs the extra: pip install 'penstock[{engine.extra}]' "
            f"({engine.library} is missing)"
        )


def unread(model: LanguageModel) -> str:
    """Why OpenVINO GenAI does not read a GGUF file, or ""."""
    if model.architecture not in _ARCHITECTURES:
        return f"the architecture {model.architecture}"
    if model.experts:
        return "mixtures of experts"
    if model.rope:
        return f"scaled positions ({model.rope})"
    kinds = model.quantization.split(", ")
    strange = next((kind for kind in kinds if kind not in _QUANTIZATIONS), "")
    return f"{strange} weights" if strange else ""


def _asked(model: LanguageModel, format: str) -> tuple[EngineName, str]:
    """The engine that the settings name. Raises `ConfigError`, naming those that can, when it cannot read the files."""
    name = model.engine
    able = [other for other, engine in ENGINES.items() if format in engine.formats]
    why = unread(model) if name == "openvino" and format == "gguf" else ""
    if why or name not in able:
        others = [other for other in able if other != name]
        what = f"GGUF files with {why}" if why else _FILES[format]
        raise ConfigError(f"engine: {name} does not read {what}; {' and '.join(others)} can")
    return name, "the settings name it"


def _found(model: LanguageModel, format: str, device: str) -> tuple[EngineName, str]:
    if format == "openvino-llm":
        return "openvino", "the folder is an OpenVINO IR"
    if format == "gguf":
        return _for_gguf(model, device)
    if device != "cpu" and (device.startswith("cuda") or has_gpu()):
        if installed("vllm"):
            return "vllm", "a folder of safetensors, and there is a GPU"
        return "transformers", "a folder of safetensors on a GPU, and vLLM is not installed"
    return "transformers", "a folder of safetensors on a CPU; a GGUF file or an OpenVINO IR of it would be faster"


def _for_gguf(model: LanguageModel, device: str) -> tuple[EngineName, str]:
    if device.startswith("cuda"):
        return "llamacpp", "a GGUF file on a GPU"
    what = f"{model.architecture} in {model.quantization}"
    why = unread(model)
    if why:
        return "llamacpp", f"OpenVINO does not read {why}"
    if not installed("openvino") and installed("llamacpp"):
        return "llamacpp", f"{what}; OpenVINO GenAI would be faster, and is not installed"
    return "openvino", f"the fastest on CPUs for {what}"
