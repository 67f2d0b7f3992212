"""What vLLM can be told for a model besides what every engine is told."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

Count = Annotated[int, msgspec.Meta(ge=0)]
Positive = Annotated[int, msgspec.Meta(ge=1)]
Share = Annotated[float, msgspec.Meta(gt=0, le=1)]


class VllmOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """`engine_options` of a model that vLLM runs, by vLLM's own names. None leaves the choice to vLLM.

    Several devices:
    `tensor_parallel_size`: devices among which each layer's matrices are divided.
    `pipeline_parallel_size`: groups of devices among which the layers are divided.
    `data_parallel_size`: copies of the model among which requests are divided, each with devices of its own.
    `enable_expert_parallel`: experts of a mixture lie whole on devices, instead of each being divided.
    `enable_eplb`: moves experts between devices as they are used, so that none is busier than others.
    `distributed_executor_backend`: how the devices' processes are run: mp on this machine, ray on several.
    `disable_custom_all_reduce`: uses NCCL's all-reduce instead of vLLM's own between GPUs.

    Weights and arithmetic:
    `dtype`: of the arithmetic and of weights that are not quantized; auto: the model's own, in 16 bits.
    `quantization`: how the weights are stored or, for fp8 and bitsandbytes, made smaller while loading; None: as the
    model says of itself.
    `load_format`: what kind of files the weights are in.
    `model_impl`: vLLM's own network or transformers', for those that vLLM has not.
    `hf_overrides`: replaces entries of the model's config.json.
    `cpu_offload_gb`: weights that stay in the computer's memory, GiB per GPU.

    Memory and batches:
    `gpu_memory_utilization`: share of the device's memory for weights and cache together.
    `kv_cache_memory_bytes`: of the key-value cache, exactly; without these two it is the context of all sequences.
    `kv_cache_dtype`: of the key-value cache's entries, over the model's `kv_precision`.
    `block_size`: tokens in a block of the cache; shared beginnings are found by whole blocks.
    `prefix_caching_hash_algo`: how blocks are named; sha256 where tenants do not trust each other.
    `enable_chunked_prefill`: long prompts are computed in pieces beside the answers under way.
    `max_num_batched_tokens`: tokens computed per step, over the model's `chunk`.
    `long_prefill_token_threshold`: prompts longer than this take turns.
    `kv_offloading_size`: blocks pushed out of the cache that are kept in the computer's memory, GiB.
    `disable_sliding_window`: cuts the context to the window instead.

    Execution:
    `enforce_eager`: no compiled graphs; starts faster, uses less memory, generates more slowly.
    `optimization_level`: 0 starts fastest, 3 generates fastest.
    `compilation_config`: details of compilation, by vLLM's names.
    `attention_backend`: the library that computes attention.
    `async_scheduling`: plans the next step while this one is computed.
    `seed`: of what requests without a seed draw.

    Adapters and guesses:
    `max_loras`: adapters that may share a batch.
    `max_lora_rank`: the largest rank among them.
    `max_cpu_loras`: adapters kept in the computer's memory.
    `fully_sharded_loras`: divides adapters like the layers they belong to.
    `speculative_config`: how tokens are guessed (ngram, eagle3, a draft model, ...), by vLLM's names, over the model's
    `speculative`.

    Answers:
    `logprobs_mode`: whether log-probabilities are before or after the sampling settings.
    `structured_outputs_backend`: the library that enforces grammars.
    """

    tensor_parallel_size: Positive = 1
    pipeline_parallel_size: Positive = 1
    data_parallel_size: Positive = 1
    enable_expert_parallel: bool = False
    enable_eplb: bool = False
    distributed_executor_backend: Literal["mp", "ray", "uni"] | None = None
    disable_custom_all_reduce: bool = False

    dtype: Literal["auto", "bfloat16", "float16", "half", "float", "float32"] = "auto"
    quantization: str | None = None
    load_format: str = "auto"
    model_impl: Literal["auto", "vllm", "transformers"] = "auto"
    hf_overrides: dict[str, Any] = {}
    cpu_offload_gb: Annotated[float, msgspec.Meta(ge=0)] = 0.0

    gpu_memory_utilization: Share | None = None
    kv_cache_memory_bytes: Positive | None = None
    kv_cache_dtype: str | None = None
    block_size: Positive | None = None
    prefix_caching_hash_algo: str | None = None
    enable_chunked_prefill: bool | None = None
    max_num_batched_tokens: Positive | None = None
    long_prefill_token_threshold: Count = 0
    kv_offloading_size: Annotated[float, msgspec.Meta(gt=0)] | None = None
    disable_sliding_window: bool = False

    enforce_eager: bool = False
    optimization_level: Annotated[int, msgspec.Meta(ge=0, le=3)] | None = None
    compilation_config: dict[str, Any] = {}
    attention_backend: str | None = None
    async_scheduling: bool | None = None
    seed: Count = 0

    max_loras: Positive | None = None
    max_lora_rank: Positive | None = None
    max_cpu_loras: Positive | None = None
    fully_sharded_loras: bool = False
    speculative_config: dict[str, Any] | None = None

    logprobs_mode: Literal["raw_logprobs", "processed_logprobs"] = "raw_logprobs"
    structured_outputs_backend: Literal["xgrammar", "guidance", "outlines"] = "xgrammar"
