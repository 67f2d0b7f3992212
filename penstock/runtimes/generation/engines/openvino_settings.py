"""How OpenVINO GenAI's continuous batching is set up for a model: cache, chunks, arithmetic, threads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from penstock.core.errors import ConfigError
from penstock.core.language import LanguageModel
from penstock.core.model import ModelSpec

BLOCK = 32
"""Tokens in one block of the key-value cache on a CPU."""
KV_PRECISIONS = {"auto": "f16"}
LOOKUP = "prompt_lookup"


def blocks(model: LanguageModel) -> int:
    """Blocks of the key-value cache: every sequence can have its whole context, and guesses beyond it, at once."""
    guesses = model.draft_tokens + 1 if model.speculative else 0
    return model.sequences * -(-(model.context + guesses) // BLOCK)


def scheduler(genai: Any, model: LanguageModel) -> Any:
    """The scheduler's settings; those of `engine_options` that are its own go over ours."""
    config = genai.SchedulerConfig()
    config.num_kv_blocks = blocks(model)
    config.max_num_seqs = model.sequences
    config.max_num_batched_tokens = max(model.chunk, 2 * model.sequences * (1 + model.draft_tokens))
    config.dynamic_split_fuse = True
    config.enable_prefix_caching = prefix_caching(model)
    for name, value in model.engine_options.items():
        if _is_schedulers(genai, name):
            _set(config, name, value)
    return config


def prefix_caching(model: LanguageModel) -> bool:
    """Whether computed prompts are kept for others: not with adapters, whose caches differ for the same text."""
    return model.prefix_cache and not model.adapters


def properties(genai: Any, spec: ModelSpec, model: LanguageModel) -> dict[str, Any]:
    """What the pipeline and its compiled graph are told."""
    threads = max(1, spec.threads)
    chosen: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",
        "KV_CACHE_PRECISION": KV_PRECISIONS.get(model.kv_precision, model.kv_precision),
        # Workers would all be pinned to the same first cores.
        "ENABLE_CPU_PINNING": False,
        "sampler_num_threads": threads,
    }
    chosen |= {name: value for name, value in model.engine_options.items() if not _is_schedulers(genai, name)}
    return chosen | _speculation(genai, model, dict(chosen))


def _speculation(genai: Any, model: LanguageModel, inner: dict[str, Any]) -> dict[str, Any]:
    if not model.speculative:
        return {}
    if model.speculative == LOOKUP:
        return {"prompt_lookup": True}
    if not Path(model.speculative).exists():
        raise ConfigError('there is no draft model at what "speculative" names; it takes prompt_lookup, or a path')
    inner.pop("sampler_num_threads")
    return {"draft_model": genai.draft_model(model.speculative, "CPU", **inner)}


def _is_schedulers(genai: Any, name: str) -> bool:
    return not name.startswith("_") and hasattr(genai.SchedulerConfig, name)


def _set(config: Any, name: str, value: Any) -> None:
    try:
        setattr(config, name, value)
    except TypeError as error:
        raise ConfigError(f"engine_options: {name} cannot be {value!r}") from error
