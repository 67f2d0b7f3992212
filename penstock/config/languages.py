"""From a described language model to what its worker loads: an engine, a context, and room in memory."""

from __future__ import annotations

from pathlib import Path

import msgspec

from penstock.config.schema import ModelSettings
from penstock.core.errors import ConfigError
from penstock.core.language import LanguageModel
from penstock.core.model import ModelSpec
from penstock.runtimes import registry

RUNTIME = "llm"


def promised(spec: ModelSpec, replicas: int) -> int:
    """Bytes of memory that a language model will take once it is loaded; of other models it is not known: 0."""
    if spec.runtime != RUNTIME:
        return 0
    from penstock.runtimes.generation import choice, memory

    model = msgspec.convert(spec.options, LanguageModel)
    where = choice.place(model.engine, spec.device)
    each = memory.estimate(model, model.engine, context=model.context, sequences=model.sequences, device=where)
    return each.total * replicas


def ready(spec: ModelSpec, settings: ModelSettings, base: Path, taken: int = 0) -> ModelSpec:
    """The spec with an engine and a context. Nothing is loaded. `taken`: bytes promised to other models.

    Raises `ConfigError` for settings that are not for language models or cannot be obeyed, `MissingExtra`.
    """
    from penstock.runtimes.generation import memory
    from penstock.runtimes.generation.settling import settle

    _check_settings(spec, settings)
    registry.check_reads(RUNTIME, spec.format)
    model = _located(msgspec.convert(spec.options, LanguageModel), base)
    try:
        model = settle(model, spec.format, spec.device, spec.path, settings.replicas, taken)
    except memory.TooLarge as error:
        raise ConfigError(f"{spec.name} does not fit into memory: {error.message}") from error
    options = msgspec.to_builtins(model)
    platform = spec.platform or registry.entry(RUNTIME).platform
    return msgspec.structs.replace(spec, options=options, platform=platform, precision=model.quantization)


def _check_settings(spec: ModelSpec, settings: ModelSettings) -> None:
    if settings.precision is not None:
        raise ConfigError(
            f"precision is not for language models; take files in another quantization ({spec.name} is served as it is)"
        )
    if settings.calibration is not None:
        raise ConfigError("calibration is not for language models; take it out")
    if settings.cache is not None:
        raise ConfigError("cache is for answers to rows, and a language model has none; options: {prefix_cache: true}")
    if settings.batched is not None or settings.output is not None or settings.example is not None:
        name = next(key for key in ("batched", "output", "example") if getattr(settings, key) is not None)
        raise ConfigError(f"{name} is for models of rows, and {spec.name} is a language model; take it out")


def _located(model: LanguageModel, base: Path) -> LanguageModel:
    """With the paths of adapters and of a draft model from the folder where relative sources start."""
    adapters = {name: _there(path, base, f"adapters.{name}") for name, path in model.adapters.items()}
    draft = model.speculative
    if draft and draft != "prompt_lookup":
        draft = _there(draft, base, "speculative")
    return msgspec.structs.replace(model, adapters=adapters, speculative=draft)


def _there(path: str, base: Path, option: str) -> str:
    found = base / Path(path).expanduser()
    if not found.exists():
        near = " or prompt_lookup" if option == "speculative" else ""
        raise ConfigError(f"options.{option} names {path[:200]}, which is not there; name a file{near}")
    return str(found.absolute())
