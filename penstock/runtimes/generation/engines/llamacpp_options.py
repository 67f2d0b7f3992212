"""What llama.cpp can be told for a model besides what every engine is told."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Count = Annotated[int, msgspec.Meta(ge=0)]
Positive = Annotated[int, msgspec.Meta(ge=1)]


class LlamaCppOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`engine_options` of a model that llama.cpp runs.

    `gpu_layers`: layers whose weights go to the GPU; -1 all, 0 none (a build for the GPU is needed).
    `split_mode`: how several GPUs share the model: whole layers, rows of matrices, whole tensors, or one GPU alone.
    `tensor_split`: each GPU's share of the model, in proportion.
    `offload_kv`: the key-value cache lies on the GPU too.
    `flash_attention`: attention without its large intermediate matrix; auto: where the model and the device allow it.
    `ubatch`: tokens computed at once inside a step; more is faster and takes more memory.
    `threads_batch`: threads for prompts, where they should differ from those for answers.
    `load`: mmap maps the file, so that its pages can be shared and dropped; mlock keeps them in memory; none reads it.
    `repack`: weights are laid out anew for the processor while loading, which makes prompts faster.
    `swa_full`: layers with a sliding window keep the whole context, so that prefixes can be found again.
    `check_tensors`: looks through all weights for invalid numbers while loading.
    `rope_scaling`: how positions beyond the trained context are treated.
    `rope_freq_base`, `rope_freq_scale`: of rotary positions; 0: the model's own.
    `yarn_original_context`: tokens of context before YaRN; 0: the model's own.
    `numa`: how threads and memory are laid out over the sockets of a large server.
    `lookup_min`, `lookup_max`: length of the token sequences that prompt lookup searches for.
    `draft_gpu_layers`: layers of the draft model on the GPU.
    """

    gpu_layers: Annotated[int, msgspec.Meta(ge=-1)] = -1
    split_mode: Literal["none", "layer", "row", "tensor"] = "layer"
    tensor_split: tuple[Annotated[float, msgspec.Meta(ge=0)], ...] = ()
    offload_kv: bool = True
    flash_attention: Literal["auto", "on", "off"] = "auto"
    ubatch: Positive = 512
    threads_batch: Count = 0
    load: Literal["auto", "none", "mmap", "mlock"] = "auto"
    repack: bool = True
    swa_full: bool = True
    check_tensors: bool = False
    rope_scaling: Literal["auto", "none", "linear", "yarn", "longrope"] = "auto"
    rope_freq_base: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    rope_freq_scale: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    yarn_original_context: Count = 0
    numa: Literal["off", "distribute", "isolate", "numactl"] = "off"
    lookup_min: Positive = 2
    lookup_max: Positive = 4
    draft_gpu_layers: Annotated[int, msgspec.Meta(ge=-1)] = -1
