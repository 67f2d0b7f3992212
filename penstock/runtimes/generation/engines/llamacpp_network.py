"""One model that llama.cpp has loaded, with the caches of its sequences: tokens in, logits out."""

from __future__ import annotations

import ctypes
import weakref
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from penstock.core.errors import ModelFileError
from penstock.core.model import ModelSpec
from penstock.runtimes.generation.engines import llamacpp_library
from penstock.runtimes.generation.engines.llamacpp_batch import Batch
from penstock.runtimes.generation.engines.llamacpp_options import LlamaCppOptions

Logits = NDArray[np.float32]
KV_TYPES = {"auto": "F16", "f16": "F16", "f32": "F32", "bf16": "BF16", "u8": "Q8_0"}
_NUMA = {"off": 0, "distribute": 1, "isolate": 2, "numactl": 3}
_LOAD = {"auto": -1, "none": 0, "mmap": 1, "mlock": 3}
_ROPE = {"auto": -1, "none": 0, "linear": 1, "yarn": 2, "longrope": 3}
_SPLIT = {"none": 0, "layer": 1, "row": 2, "tensor": 3}
_FLASH = {"auto": -1, "off": 0, "on": 1}


class Size(NamedTuple):
    """Room that a network needs: `sequences` of `context` tokens each, `batch` tokens per step, `outputs` positions of
    one sequence whose logits are wanted at once."""

    sequences: int
    context: int
    batch: int
    outputs: int = 1
    kv_precision: str = "auto"


class Network:
    """Weights and caches. Each sequence has a number from 0 and a stretch of the cache of its own."""

    def __init__(self, path: Path, spec: ModelSpec, options: LlamaCppOptions, size: Size):
        self.library = library = llamacpp_library.library()
        self.size = size
        library.llama_numa_init(_NUMA[options.numa])
        self.model = _load(library, path, _model_params(library, spec, options))
        self._context = _context(library, self.model, _context_params(library, spec, options, size))
        self.vocab = library.llama_model_get_vocab(self.model)
        self.vocabulary = int(library.llama_vocab_n_tokens(self.vocab))
        self._memory = library.llama_get_memory(self._context)
        self.can_roll_back = not (
            library.llama_model_is_recurrent(self.model) or library.llama_model_is_hybrid(self.model)
        )
        self.batch = Batch(library, size.batch)
        self.free = weakref.finalize(self, _free, library, self._context, self.model)

    def decode(self) -> None:
        """Computes the batch. Raises RuntimeError: nobody may go on with the caches after that."""
        status = self.library.llama_decode(self._context, self.batch.native())
        if status:
            raise RuntimeError(f"llama.cpp could not compute a step (status {status}): {llamacpp_library.said()}")

    def wait(self) -> None:
        """Waits until the last step is computed, where a device works on its own."""
        self.library.llama_synchronize(self._context)

    def logits(self, row: int) -> Logits:
        """The logits after the batch's token `row`: a view that the next step overwrites."""
        pointer = self.library.llama_get_logits_ith(self._context, row)
        if not pointer:
            raise RuntimeError("llama.cpp gave no logits")
        return np.ctypeslib.as_array(pointer, (self.vocabulary,))

    def keep(self, sequence: int, length: int) -> bool:
        """Forgets what a sequence has after `length` tokens; False when it could only forget everything, and did."""
        if self.library.llama_memory_seq_rm(self._memory, sequence, length, -1):
            return True
        self.library.llama_memory_seq_rm(self._memory, sequence, -1, -1)
        return False

    def copy(self, source: int, target: int) -> None:
        """Makes the cache of one sequence that of another too."""
        self.library.llama_memory_seq_rm(self._memory, target, -1, -1)
        self.library.llama_memory_seq_cp(self._memory, source, target, -1, -1)

    def adapt(self, adapter: Any | None) -> None:
        """Sets the LoRA adapter of the next steps, or none."""
        pointers = (self.library.llama_adapter_lora_p_ctypes * 1)(adapter) if adapter else None
        scales = (ctypes.c_float * 1)(1.0) if adapter else None
        if self.library.llama_set_adapters_lora(self._context, pointers, 1 if adapter else 0, scales):
            raise RuntimeError("llama.cpp could not set a LoRA adapter")


def _model_params(library: Any, spec: ModelSpec, options: LlamaCppOptions) -> Any:
    params = library.llama_model_default_params()
    params.n_gpu_layers = 0 if spec.device == "cpu" else options.gpu_layers
    params.split_mode = _SPLIT[options.split_mode]
    device = spec.device.partition(":")[2]
    if device:
        params.main_gpu, params.split_mode = int(device), _SPLIT["none"]
    if options.tensor_split:
        shares = (ctypes.c_float * max(library.llama_max_devices(), len(options.tensor_split)))(*options.tensor_split)
        params.tensor_split = shares
    params.load_mode = _LOAD[options.load]
    params.use_extra_bufts = options.repack
    params.check_tensors = options.check_tensors
    return params


def _context_params(library: Any, spec: ModelSpec, options: LlamaCppOptions, size: Size) -> Any:
    params = library.llama_context_default_params()
    params.n_seq_max, params.n_ctx = size.sequences, size.sequences * size.context
    params.n_batch, params.n_ubatch = size.batch, min(options.ubatch, size.batch)
    params.n_outputs_max, params.n_outputs_max_per_seq = size.sequences * size.outputs, size.outputs
    params.n_threads = max(1, spec.threads)
    params.n_threads_batch = options.threads_batch or params.n_threads
    params.flash_attn_type = _FLASH[options.flash_attention]
    params.type_k = params.type_v = getattr(library, f"GGML_TYPE_{KV_TYPES[size.kv_precision]}")
    params.offload_kqv, params.swa_full, params.kv_unified = options.offload_kv, options.swa_full, False
    params.rope_scaling_type = _ROPE[options.rope_scaling]
    params.rope_freq_base, params.rope_freq_scale = options.rope_freq_base, options.rope_freq_scale
    params.yarn_orig_ctx = options.yarn_original_context
    return params


def _load(library: Any, path: Path, params: Any) -> Any:
    llamacpp_library.forget()
    if not path.is_file():
        raise ModelFileError("the model file is missing")
    model = library.llama_model_load_from_file(str(path).encode(), params)
    if not model:
        why = llamacpp_library.reason() or "it may be damaged"
        raise ModelFileError(f"llama.cpp cannot load the model: {why}", detail=llamacpp_library.said())
    if library.llama_model_has_encoder(model) or not library.llama_model_has_decoder(model):
        library.llama_model_free(model)
        raise ModelFileError("the model is no generator of text: it has an encoder; llama.cpp serves decoders here")
    return model


def _context(library: Any, model: Any, params: Any) -> Any:
    llamacpp_library.forget()
    context = library.llama_init_from_model(model, params)
    if not context:
        library.llama_model_free(model)
        why = llamacpp_library.reason() or "there may be too little memory for its context"
        raise ModelFileError(f"llama.cpp cannot set the model up: {why}", detail=llamacpp_library.said())
    return context


def _free(library: Any, context: Any, model: Any) -> None:
    library.llama_free(context)
    library.llama_model_free(model)
