"""Models as Ollama's clients see them: in lists, one by one, and while they are loaded."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from penstock.core.errors import PenstockError
from penstock.core.language import GENERATION, LanguageModel
from penstock.core.model import ModelSpec, ModelView

NEVER = "2300-01-01T00:00:00Z"
"""When a loaded model goes, which is when it is told to."""
CAPABILITIES: Mapping[str, str] = {GENERATION: "completion", "embedding": "embedding"}
"""What Ollama calls the tasks that it knows."""


class Pulled(NamedTuple):
    """A model on this machine's disk that is not served. `size`: bytes. `modified`: RFC 3339."""

    name: str
    size: int = 0
    modified: str = ""
    format: str = ""
    family: str = ""
    parameters: int = 0
    quantization: str = ""
    digest: str = ""


def on_disk() -> list[Pulled]:
    """The models that were pulled, and are whole."""
    from penstock.repository import library

    return [
        Pulled(e.name, e.size, e.modified, e.format, e.family, e.parameters, e.quantization, e.digest)
        for e in library.entries()
        if e.complete
    ]


def language_of(spec: ModelSpec) -> LanguageModel | None:
    """The description of a language model; None for a model of another kind."""
    if spec.runtime != "llm":
        return None
    try:
        return msgspec.convert(spec.options, LanguageModel)
    except msgspec.ValidationError:
        return None


def speaks(view: ModelView) -> bool:
    """Whether Ollama's clients can ask the model for something."""
    task = view.signature.task if view.signature is not None else ""
    return view.spec.runtime == "llm" or task in CAPABILITIES


def listed(name: str, view: ModelView, modified: str) -> dict[str, Any]:
    """A served model in the list of models, under one of its names."""
    model = language_of(view.spec)
    known = {"name": name, "model": name, "modified_at": modified, "digest": digest(view.spec)}
    return {**known, "size": 0 if model is None else model.weights_bytes, "details": details(view)}


def listed_pulled(pulled: Pulled) -> dict[str, Any]:
    """A model that was pulled, and is not served, in the list of models."""
    about = _details(pulled.format, pulled.family, pulled.parameters, pulled.quantization)
    known = {"name": pulled.name, "model": pulled.name, "modified_at": pulled.modified, "size": pulled.size}
    return {**known, "digest": pulled.digest.removeprefix("sha256:") or _digest(pulled.name), "details": about}


def loaded(view: ModelView) -> dict[str, Any]:
    """A model in the list of loaded ones; `size`: the memory that it takes, by estimate, in bytes."""
    signature = view.signature
    context = signature.max_tokens if signature is not None else None
    size = memory(view.spec)
    known = {"name": view.spec.name, "model": view.spec.name, "digest": digest(view.spec), "details": details(view)}
    on_device = size if view.spec.device.startswith("cuda") else 0
    return {**known, "size": size, "size_vram": on_device, "context_length": context or 0, "expires_at": NEVER}


def memory(spec: ModelSpec) -> int:
    """Bytes that a loaded language model takes, by estimate; of other models nothing is known: 0."""
    model = language_of(spec)
    if model is None:
        return 0
    from penstock.runtimes.generation.choice import place
    from penstock.runtimes.generation.memory import estimate

    where = place(model.engine, spec.device)
    try:
        return estimate(model, model.engine, context=model.context, sequences=model.sequences, device=where).total
    except PenstockError:
        return model.weights_bytes


def shown(view: ModelView, modified: str) -> dict[str, Any]:
    """Everything about one model."""
    model = language_of(view.spec) or LanguageModel()
    return {
        "license": model.license,
        "modelfile": "",
        "parameters": parameters(model),
        "template": model.chat_template,
        "details": details(view),
        "model_info": model_info(model, view),
        "capabilities": capabilities(view),
        "modified_at": modified,
    }


def parameters(model: LanguageModel) -> str:
    """The sampling settings that the model recommends, one per line, as Ollama writes them."""
    return "\n".join(f"{name:<30} {value}" for name, value in model.defaults.items())


def model_info(model: LanguageModel, view: ModelView) -> dict[str, Any]:
    """What its files say, by the keys of GGUF, and the context that it is served with."""
    kind, signature = model.architecture or "unknown", view.signature
    info = {
        "general.architecture": model.architecture,
        "general.name": model.title,
        "general.parameter_count": model.parameters,
        "general.file_type": model.quantization,
        f"{kind}.context_length": model.trained_context,
        f"{kind}.embedding_length": model.hidden_size,
        f"{kind}.block_count": model.layers,
        f"{kind}.attention.head_count": model.heads,
        f"{kind}.attention.head_count_kv": model.kv_heads,
        f"{kind}.attention.key_length": model.head_size,
        f"{kind}.vocab_size": model.vocab_size,
        "penstock.context_length": signature.max_tokens if signature is not None else model.context,
        "penstock.engine": model.engine,
        "penstock.sequences": model.sequences,
    }
    return {key: value for key, value in info.items() if value}


def capabilities(view: ModelView) -> list[str]:
    """What the model can do, in Ollama's words."""
    task = view.signature.task if view.signature is not None else GENERATION
    found = [CAPABILITIES[task]] if task in CAPABILITIES else []
    model = language_of(view.spec)
    if model is None:
        return found
    from penstock.runtimes.generation.marks.choice import thinks, tool_format

    tools, thinking = tool_format(model) is not None, thinks(model)
    return found + ["tools"] * tools + ["thinking"] * thinking


def details(view: ModelView) -> dict[str, Any]:
    """Format, family, size and quantization."""
    model = language_of(view.spec)
    if model is None:
        return _details(view.spec.format, str(view.spec.options.get("architecture", "")), 0, view.spec.precision)
    return _details(view.spec.format, model.architecture, model.parameters, model.quantization)


def digest(spec: ModelSpec) -> str:
    """64 hexadecimal digits: of the model's file, else of its name and version, which clients tell models apart by."""
    return spec.sha256 or _digest(f"{spec.name}@{spec.version}")


def size_name(parameters: int) -> str:
    """A number of parameters as people write it: 7.2B, 300M, 12K."""
    for unit, name in ((1e9, "B"), (1e6, "M"), (1e3, "K")):
        if parameters >= unit:
            short = parameters / unit
            return f"{short:.1f}{name}" if short < 10 else f"{short:.0f}{name}"
    return str(parameters) if parameters else ""


def _details(format: str, family: str, parameters: int, quantization: str) -> dict[str, Any]:
    return {
        "parent_model": "",
        "format": format,
        "family": family,
        "families": [family] if family else [],
        "parameter_size": size_name(parameters),
        "quantization_level": quantization,
    }


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
