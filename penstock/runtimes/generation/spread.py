"""Over how many GPUs an engine spreads a model, and what of it they hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from penstock.core.language import LanguageModel
from penstock.runtimes.generation.engines import engine_options
from penstock.runtimes.generation.engines.llamacpp_options import LlamaCppOptions
from penstock.runtimes.generation.engines.vllm_options import VllmOptions

_GIB = 2**30
_SMALLER = {"fp8": 0.55, "bitsandbytes": 0.35}
"""What vLLM leaves of 16-bit weights that it makes smaller while loading; tables of embeddings stay as they are."""


class Spread(NamedTuple):
    """`gpus`: how many hold one copy of the model (0: all that there are). `even`: as much on each of them. `shares`:
    each one's part, in proportion. `aside`: bytes of weights that stay in the computer's memory. `scale`: of the
    weights as they are kept. `known`: False where more than this machine's GPUs compute."""

    gpus: int = 1
    even: bool = True
    shares: tuple[float, ...] = ()
    aside: int = 0
    scale: float = 1.0
    known: bool = True

    def room(self, free: Sequence[int]) -> int | None:
        """Bytes that a model may take in all, where each GPU has so many free; None when that cannot be told."""
        if not self.known or not free or len(free) < max(self.gpus, len(self.shares)):
            return None
        if any(self.shares):
            fullest = min(left / share for left, share in zip(free, self.shares, strict=False) if share)
            return int(fullest * sum(self.shares))
        used = free[: self.gpus] if self.gpus else free
        return len(used) * min(used) if self.even else sum(used)


def spread(model: LanguageModel, engine: str, device: str) -> Spread:
    """How an engine spreads a model, by its `engine_options`. `device`: "cpu", "cuda" or "cuda:N".

    Raises `ConfigError` for options that are wrong.
    """
    if not device.startswith("cuda"):
        return Spread()
    if engine == "vllm":
        return _vllm(engine_options.read(VllmOptions, model.engine_options, "vllm"))
    if engine == "llamacpp":
        return _llamacpp(engine_options.read(LlamaCppOptions, model.engine_options, "llama.cpp"), device)
    return Spread()


def _vllm(options: VllmOptions) -> Spread:
    gpus = options.tensor_parallel_size * options.pipeline_parallel_size
    return Spread(
        gpus,
        aside=int(options.cpu_offload_gb * _GIB) * gpus,
        scale=_SMALLER.get(options.quantization or "", 1.0),
        known=options.distributed_executor_backend != "ray",
    )


def _llamacpp(options: LlamaCppOptions, device: str) -> Spread:
    known = options.gpu_layers < 0
    if ":" in device or options.split_mode == "none":
        return Spread(known=known)
    return Spread(0, even=False, shares=options.tensor_split, known=known)
