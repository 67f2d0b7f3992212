"""How OpenVINO GenAI's continuous batching is set up for a model: cache, chunks, arithmetic, threads."""

from __future__ import annotations

import tempfile
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from penstock.core import gguf
from penstock.core.errors import ConfigError, MissingExtra, ModelFileError
from penstock.core.language import LanguageModel
from penstock.core.model import ModelSpec
from penstock.runtimes.generation.engines import engine_options
from penstock.runtimes.generation.engines.openvino_adapters import Adapters, named_graph
from penstock.runtimes.openvino import check_weights, library

BLOCK = 32
"""Tokens in one block of the key-value cache on a CPU."""
LOOKUP = "prompt_lookup"
GRAPH = "openvino_model.xml"
_REASONS = {
    "are_tokenizers_equal": "its draft model has another tokenizer; both must come from the same family",
    "openvino_tokenizer.xml": "openvino_tokenizer.xml is missing beside it",
    "Unsupported": "it uses what this version lacks",
    "not supported": "it uses what this version lacks",
}


class Options(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `engine_options` of openvino.

    `inference`: the arithmetic; f32 with OpenVINO's dynamic quantization is exact enough and the fastest on most CPUs.
    `step_ms`: how long the prompt part of one step may take, in milliseconds, so that answers under way go on.
    `max_ngram`: the longest run of tokens that prompt lookup searches for. `scheduler`, `properties`: settings of
    OpenVINO GenAI's SchedulerConfig and of the compiled model, by their own names.
    """

    inference: Literal["f32", "bf16", "f16"] = "f32"
    step_ms: Annotated[int, Meta(ge=10, le=10_000)] = 800
    max_ngram: Annotated[int, Meta(ge=1, le=64)] = 3
    scheduler: dict[str, Any] = {}
    properties: dict[str, Any] = {}


def options(model: LanguageModel) -> Options:
    """The engine's own settings of a model. Raises `ConfigError` for a wrong one."""
    return engine_options.read(Options, model.engine_options, "openvino")


def genai() -> Any:
    """The library. Raises `MissingExtra`."""
    try:
        library()
        return import_module("openvino_genai")
    except ImportError as error:
        raise MissingExtra("OpenVINO GenAI is not installed: pip install 'penstock[llm]'") from error


def blocks(model: LanguageModel) -> int:
    """Blocks of the key-value cache: every sequence can have its whole context, and guesses beyond it, at once."""
    return model.sequences * -(-(model.context + _guesses(model)) // BLOCK)


def prefix_caching(model: LanguageModel) -> bool:
    """Whether computed prompts are kept for others.

    Not with adapters, whose keys and values differ for the same text; and not with a draft model, which the library
    leaves without the parts of prompts that are computed one by one, so that it guesses wrong.
    """
    return model.prefix_cache and not model.adapters and model.speculative in ("", LOOKUP)


def splits(model: LanguageModel) -> bool:
    """Whether the library splits prompts by itself. With its prefix cache it must not (`openvino_prompts` says why);
    while it guesses ahead, it gives wrong tokens after prompts that it split."""
    return not prefix_caching(model) and not model.speculative


def pipeline(library: Any, spec: ModelSpec, model: LanguageModel, adapters: Adapters | None = None) -> Any:
    """The loaded model. Raises `ModelFileError`."""
    _check(Path(spec.path), spec.format)
    scheduler, properties = _scheduler(library, model), _properties(library, spec, model)
    try:
        if adapters is None:
            return library.ContinuousBatchingPipeline(spec.path, scheduler, "CPU", properties)
        properties["adapters"] = adapters.all()
        return _adaptable(library, spec, adapters, scheduler, properties)
    except RuntimeError as error:
        raise _unreadable(error) from error


def _adaptable(library: Any, spec: ModelSpec, adapters: Adapters, scheduler: Any, properties: dict[str, Any]) -> Any:
    """A pipeline that adapters can be put on. A GGUF file's graph has no names for its weights, so it gets them."""
    if spec.format != "gguf":
        adapters.check(Path(spec.path) / GRAPH)
        return library.ContinuousBatchingPipeline(spec.path, scheduler, "CPU", properties)
    with tempfile.TemporaryDirectory(prefix="penstock-adapters-") as folder:
        adapters.check(named_graph(library, Path(spec.path), Path(folder)))
        tokenizer = library.Tokenizer(spec.path)
        # The file stays mapped when the folder is gone.
        return library.ContinuousBatchingPipeline(folder, tokenizer, scheduler, "CPU", **properties)


def _check(path: Path, format: str) -> None:
    """Raises `ModelFileError` for a file that is missing or cut short, which the library would not notice."""
    if format == "gguf":
        gguf.read(path)
    elif not (path / GRAPH).is_file():
        raise ModelFileError(f"the folder has no {GRAPH}: export it again with optimum-cli export openvino")
    else:
        check_weights((path / GRAPH).read_bytes(), (path / GRAPH).with_suffix(".bin"))


def _unreadable(error: Exception) -> ModelFileError:
    text = str(error)
    reason = next((words for mark, words in _REASONS.items() if mark in text), "its graph is not one that it knows")
    return ModelFileError(f"OpenVINO GenAI cannot load the model: {reason}", detail=text)


def _guesses(model: LanguageModel) -> int:
    return model.draft_tokens + 1 if model.speculative else 0


def _scheduler(library: Any, model: LanguageModel) -> Any:
    config = library.SchedulerConfig()
    config.num_kv_blocks = blocks(model)
    config.max_num_seqs = model.sequences
    most = model.chunk if splits(model) else max(model.chunk, model.context)
    config.max_num_batched_tokens = most + model.sequences * (1 + _guesses(model))
    config.dynamic_split_fuse = True
    config.enable_prefix_caching = prefix_caching(model)
    for name, value in options(model).scheduler.items():
        _set(config, name, value)
    return config


def _set(config: Any, name: str, value: Any) -> None:
    if name.startswith("_") or not hasattr(config, name):
        raise ConfigError(f"engine_options: OpenVINO GenAI's SchedulerConfig has no {name!r}")
    try:
        setattr(config, name, value)
    except TypeError as error:
        raise ConfigError(f"engine_options: {name} cannot be {value!r}") from error


def _properties(library: Any, spec: ModelSpec, model: LanguageModel) -> dict[str, Any]:
    threads, own = max(1, spec.threads), options(model)
    chosen: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": own.inference,
        "KV_CACHE_PRECISION": "f16" if model.kv_precision == "auto" else model.kv_precision,
        # Workers would all be pinned to the same first cores.
        "ENABLE_CPU_PINNING": False,
    }
    chosen |= own.properties
    return {**chosen, "sampler_num_threads": threads, **_speculation(library, model, chosen)}


def _speculation(library: Any, model: LanguageModel, properties: dict[str, Any]) -> dict[str, Any]:
    if not model.speculative:
        return {}
    if model.speculative == LOOKUP:
        return {LOOKUP: True}
    if not (Path(model.speculative) / GRAPH).is_file():
        raise ConfigError('"speculative" takes prompt_lookup, or the path of an OpenVINO IR folder with a draft model')
    try:
        return {"draft_model": library.draft_model(model.speculative, "CPU", **properties)}
    except Exception as error:
        raise _unreadable(error) from error
