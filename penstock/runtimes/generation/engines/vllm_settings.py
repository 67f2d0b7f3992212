"""How vLLM is set up for a model: its environment, and its engine arguments."""

from __future__ import annotations

import os
from typing import Any

import msgspec

from penstock.core.errors import ConfigError
from penstock.core.language import LanguageModel
from penstock.core.model import ModelSpec
from penstock.runtimes.generation.engines.vllm_options import VllmOptions

LOOKUP = "prompt_lookup"
_BLOCK = 128
_KV_DTYPES = {"auto": "auto", "bf16": "bfloat16", "f16": "float16", "u8": "fp8"}
_WIDE = ("float", "float32")


def environment(spec: ModelSpec) -> dict[str, str]:
    """Variables that vLLM reads once, when it is imported: the engine in this process, this process's share of the
    cores, nothing bound to the network, nothing reported."""
    return {
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "OMP_NUM_THREADS": str(max(1, spec.threads)),
        "VLLM_HOST_IP": "127.0.0.1",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_LOGGING_LEVEL": os.environ.get("VLLM_LOGGING_LEVEL", "ERROR"),
    }


def arguments(spec: ModelSpec, model: LanguageModel, options: VllmOptions) -> dict[str, Any]:
    """What vLLM's EngineArgs get: the model's settings, under those that `engine_options` gives by vLLM's names."""
    given: dict[str, Any] = msgspec.to_builtins(options)
    given.pop("structured_outputs_backend", None)
    chosen: dict[str, Any] = {
        "model": spec.path,
        "max_model_len": model.context,
        "max_num_seqs": model.sequences,
        "max_num_batched_tokens": max(model.chunk, model.sequences * (1 + model.draft_tokens)),
        "enable_chunked_prefill": True,
        "enable_prefix_caching": model.prefix_cache,
        "kv_cache_dtype": _kv_dtype(model),
        "max_logprobs": 20,
        "trust_remote_code": False,
        "generation_config": "auto",
        "limit_mm_per_prompt": {"image": 0, "video": 0, "audio": 0},
        "structured_outputs_config": {"backend": options.structured_outputs_backend},
        "disable_log_stats": False,
    }
    return chosen | _adapters(model) | _speculation(model) | _cache(model, options) | given


def _kv_dtype(model: LanguageModel) -> str:
    if model.kv_precision not in _KV_DTYPES:
        raise ConfigError('kv_precision: vLLM has f32 only by engine_options: {"dtype": "float32"}')
    return _KV_DTYPES[model.kv_precision]


def _adapters(model: LanguageModel) -> dict[str, Any]:
    if not model.adapters:
        return {}
    count = len(model.adapters)
    return {"enable_lora": True, "max_loras": min(count, 8), "max_cpu_loras": max(count, 8), "max_lora_rank": 64}


def _speculation(model: LanguageModel) -> dict[str, Any]:
    if not model.speculative:
        return {}
    guesses: dict[str, Any] = {"num_speculative_tokens": model.draft_tokens}
    if model.speculative == LOOKUP:
        guesses |= {"method": "ngram", "prompt_lookup_min": 2, "prompt_lookup_max": 4}
    else:
        guesses |= {"method": "draft_model", "model": model.speculative}
    return {"speculative_config": guesses, "per_request_spec_decode_metrics": "summary"}


def _cache(model: LanguageModel, options: VllmOptions) -> dict[str, Any]:
    """The context of all sequences at once, where the model's description tells what a token takes."""
    each = model.kv_bytes_per_token()
    if options.gpu_memory_utilization or options.kv_cache_memory_bytes or not each:
        return {}
    if options.dtype in _WIDE and model.kv_precision == "auto":
        each *= 2
    block = options.block_size or _BLOCK
    guesses = model.draft_tokens + 1 if model.speculative else 0
    blocks = model.sequences * (-(-(model.context + guesses) // block) + 1) + 1
    return {"kv_cache_memory_bytes": blocks * block * each}
