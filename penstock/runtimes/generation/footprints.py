"""What each engine keeps in memory, with constants measured on its worker's resident memory (Linux, x86-64).

A worker's own memory (anonymous pages, and the mapped file of a model) is the same wherever it runs: of OpenVINO
2026.1 and 2026.4 on Python 3.11 and 3.13, with 1 to 16 threads, on the tiny model 70 to 73 MiB for one answer of 256
tokens and 97 to 106 MiB for 16; on one of 300M parameters in Q4_0, 505 to 528 and 778 to 873 MiB.

How much of the shared libraries is resident is up to the kernel: it maps what is around a page that is touched, and
that is more where a library lies in large pieces in the page cache, as it does when it was written lately and has not
been read from the disk since. The same OpenVINO worker has 84 MiB of them, or 122 MiB after an installation. They are
shared between workers, and can be taken back; the estimate counts what lies in the middle.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from penstock.core.language import LanguageModel

MIB = 2**20
LOOKUP = "prompt_lookup"
# Bytes that OpenVINO GenAI takes per weight of a GGUF file: its constants (numbers, scales and zero points of groups),
# and what the processor's kernels compute with. The whole is kept as long as the model is.
_OPENVINO: dict[str, tuple[float, float]] = {
    "Q4_0": (0.58, 0.75),
    "Q4_1": (0.58, 0.75),
    "Q4_K_M": (0.70, 0.88),
    "Q6_K": (1.19, 1.38),
    "Q8_0": (1.10, 1.25),
    "F16": (4.0, 4.2),
}


# Those that llama.cpp lays out anew (x86-64).
_LAID_OUT_ANEW = ("Q4_0", "Q4_K", "Q2_K", "IQ4_NL", "MXFP4")


class Footprint(NamedTuple):
    """`process`: bytes of the process, its libraries apart. `libraries`: pages of these (0: `process` holds both).
    `per_token`: of a step, for each token in it; `per_width`:
    for each, times the hidden size. `per_context`: for each token of context, times the hidden size. `per_sequence`:
    for each answer at once. `copies`: of the weights of a file, where there is no better rule. `block`: tokens by which
    the cache of a sequence grows. `cache_width`: bytes of a number in the cache, unless a person says it."""

    process: int
    libraries: int
    per_token: int
    per_width: int
    per_context: int
    per_sequence: int
    copies: float
    block: int = 1
    cache_width: int = 2

    def weights(self, model: LanguageModel) -> int:
        """Bytes of the weights, a draft model's included."""
        return int((model.weights_bytes + _draft(model)) * self.copies)

    def droppable(self, model: LanguageModel) -> int:
        """Bytes of a mapped file that the system may take back, for they are not needed again."""
        return 0

    def cache(self, model: LanguageModel, context: int, sequences: int) -> int:
        """Bytes of the key-value cache when all sequences are full."""
        each = -(-context // self.block) * self.block
        # Eight-bit numbers have a scale and a zero point for each head.
        more = (model.head_size + 8) / model.head_size if model.kv_precision == "u8" and model.head_size else 1.0
        if model.kv_precision == "auto":
            more = self.cache_width / 2
        return int(model.kv_bytes_per_token() * more) * each * sequences

    def overhead(self, model: LanguageModel, context: int, sequences: int) -> int:
        """Bytes of the process, of what a step computes, and of the vocabulary."""
        step = min(max(model.chunk, 2 * sequences), context * sequences)
        computed = step * (self.per_token + self.per_width * model.hidden_size)
        attention = context * self.per_context * model.hidden_size
        vocabulary = model.vocab_size * (300 + 8 * sequences)
        return self.process + self.libraries + computed + attention + vocabulary + sequences * self.per_sequence


class OpenvinoFootprint(Footprint):
    """OpenVINO GenAI: a GGUF file's weights are taken apart; an IR's are mapped, and laid out anew besides."""

    def weights(self, model: LanguageModel) -> int:
        """Bytes of the weights, a draft model's included."""
        kept, computed = _OPENVINO.get(model.quantization.partition(",")[0], (0.0, 0.0))
        if not kept:
            return super().weights(model)
        table = model.vocab_size * model.hidden_size
        # One table serves at both ends, and is kept once for each.
        both = table * kept if model.tied else -table * computed
        scale = (model.weights_bytes + _draft(model)) / model.weights_bytes if model.weights_bytes else 1.0
        return int((model.parameters * (kept + computed) + both) * scale)


class LlamaCppFootprint(Footprint):
    """llama.cpp: the file is mapped, and weights of some kinds are laid out anew for the processor besides."""

    def weights(self, model: LanguageModel) -> int:
        """Bytes of the weights, a draft model's included."""
        again = model.quantization.startswith(_LAID_OUT_ANEW)
        return int(super().weights(model) * (2.05 if again else 1.0))

    def droppable(self, model: LanguageModel) -> int:
        """The file's own pages, where the weights were laid out anew."""
        return model.weights_bytes if model.quantization.startswith(_LAID_OUT_ANEW) else 0


class TransformersFootprint(Footprint):
    """transformers: weights in the width of its arithmetic, whatever the files are in, which is the cache's too."""

    def weights(self, model: LanguageModel) -> int:
        """Bytes of the weights."""
        return self.cache_width * model.parameters or super().weights(model)


_FOOTPRINTS: dict[str, Footprint] = {
    "openvino": OpenvinoFootprint(46 * MIB, 100 * MIB, 20_000, 125, 12, MIB // 2, 2.1, block=32),
    "llamacpp": LlamaCppFootprint(25 * MIB, 24 * MIB, 1_000, 60, 2, MIB // 8, 1.0),
    "vllm": Footprint(1_400 * MIB, 0, 40_000, 100, 4, MIB // 2, 1.05, block=16),
    "transformers": TransformersFootprint(420 * MIB, 0, 20_000, 100, 8, MIB // 2, 1.0, cache_width=4),
}


def footprint(engine: str, device: str = "cpu", dtype: str = "auto") -> Footprint:
    """Of an engine by its name; of one that is not chosen yet, OpenVINO's. `dtype`: of transformers' arithmetic."""
    found = _FOOTPRINTS.get(engine, _FOOTPRINTS["openvino"])
    on_gpu = device.startswith("cuda")
    if engine == "transformers":
        wide = dtype == "float32" or (dtype == "auto" and not on_gpu)
        return found._replace(cache_width=4 if wide else 2)
    # A GPU's weights are those of the file.
    return Footprint(*found) if engine == "llamacpp" and on_gpu else found


def _draft(model: LanguageModel) -> int:
    """Bytes of the files of a draft model."""
    if not model.speculative or model.speculative == LOOKUP:
        return 0
    path = Path(model.speculative)
    try:
        if path.is_dir():
            return sum(file.stat().st_size for file in path.iterdir() if file.suffix in (".safetensors", ".bin"))
        return path.stat().st_size
    except OSError:
        return 0
