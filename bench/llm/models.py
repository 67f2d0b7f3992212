"""Random llamas as safetensors and as GGUF files, with the same weights: `python -m bench.llm.models FOLDER`.

The tokenizer is a byte-level BPE trained on the standard library's sources, so nothing is downloaded. Weights are
rounded to F16 first, so that the folder, read in FP32, and the F16 file are the very same network.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
KINDS = {"f32": 0, "f16": 1, "q4_0": 2, "q8_0": 7}
"""Kinds of GGUF files: `general.file_type` by name."""
NAMES = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
}  # fmt: skip


@dataclass(frozen=True)
class Shape:
    """How large a random llama is. `texts`: how many source files its tokenizer learns from; None: all.

    `spread`: the deviation of its weights; a larger one makes its choices clearer.
    """

    vocabulary: int = 32_000
    hidden: int = 1024
    inner: int = 4096
    layers: int = 16
    heads: int = 16
    kv_heads: int = 16
    context: int = 4096
    tied: bool = True
    seed: int = 0
    texts: int | None = None
    spread: float = 0.02


LARGE = Shape()
"""About 300 million parameters."""
SMALL = Shape(512, 64, 128, layers=2, heads=4, kv_heads=2, context=1024, texts=20, spread=0.2)
"""Enough to show every mistake, and quick."""


def write(folder: Path, shape: Shape = LARGE, kinds: tuple[str, ...] = ("f16", "q4_0", "q8_0")) -> None:
    """Writes FOLDER/hf (safetensors, tokenizer.json) and FOLDER/KIND.gguf; does nothing when they are there."""
    if (folder / "written").is_file():
        return
    folder.mkdir(parents=True, exist_ok=True)
    _tokenizer(folder / "hf", shape)
    network = _network(folder / "hf", shape)
    for kind in kinds:
        _gguf(folder, network, kind)
    (folder / "written").touch()


def _tokenizer(folder: Path, shape: Shape) -> None:
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    words = pre_tokenizers.Split(Regex(WORDS), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [words, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=shape.vocabulary,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(shape.texts), trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=SPECIAL[2], pad_token=SPECIAL[0])
    fast.chat_template = TEMPLATE
    fast.save_pretrained(folder)


def _texts(most: int | None) -> Iterator[str]:
    files = sorted(Path(os.__file__).parent.glob("*.py"))[:most] if most else Path(os.__file__).parent.rglob("*.py")
    for file in files:
        if "site-packages" not in file.parts:
            yield file.read_text(encoding="utf-8", errors="replace")


def _network(folder: Path, shape: Shape) -> Any:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    vocabulary = len(json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"])
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        max_position_embeddings=shape.context,
        tie_word_embeddings=shape.tied,
        initializer_range=shape.spread,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
        bos_token_id=0,
        eos_token_id=2,
        rms_norm_eps=1e-5,
    )
    torch.manual_seed(shape.seed)
    network = LlamaForCausalLM(config).half()
    network.save_pretrained(folder)
    return network


def _gguf(folder: Path, network: Any, kind: str) -> None:
    from gguf import GGMLQuantizationType, GGUFWriter, quants

    writer = GGUFWriter(str(folder / f"{kind}.gguf"), "llama")
    _describe(writer, network.config, kind)
    _words(writer, folder / "hf")
    for name, tensor in _tensors(network):
        values = np.ascontiguousarray(tensor, np.float32)
        if values.ndim == 1:
            writer.add_tensor(name, values)
            continue
        packed = GGMLQuantizationType[kind.upper()]
        writer.add_tensor(name, quants.quantize(values, packed), raw_dtype=packed)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _describe(writer: Any, config: Any, kind: str) -> None:
    heads = config.num_attention_heads
    writer.add_name("random")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(10_000.0)
    writer.add_rope_dimension_count(config.hidden_size // heads)
    writer.add_vocab_size(config.vocab_size)
    writer.add_file_type(KINDS[kind])


def _words(writer: Any, folder: Path) -> None:
    model = json.loads((folder / "tokenizer.json").read_text())["model"]
    words = sorted(model["vocab"], key=model["vocab"].__getitem__)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(words)
    writer.add_token_types([3 if word in SPECIAL else 1 for word in words])
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(0)
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)


def _tensors(network: Any) -> Iterator[tuple[str, Any]]:
    """Names and values as llama.cpp has them: the halves of rotated heads are interleaved."""
    state, config = network.state_dict(), network.config
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    yield "token_embd.weight", state["model.embed_tokens.weight"].float().numpy()
    yield "output_norm.weight", state["model.norm.weight"].float().numpy()
    if not config.tie_word_embeddings:
        yield "output.weight", state["lm_head.weight"].float().numpy()
    for layer in range(config.num_hidden_layers):
        for ours, theirs in NAMES.items():
            values = state[f"model.layers.{layer}.{ours}.weight"].float().numpy()
            count = heads.get(ours.rpartition(".")[2])
            yield f"blk.{layer}.{theirs}.weight", values if count is None else _interleaved(values, count)


def _interleaved(weights: Any, heads: int) -> Any:
    rows = weights.shape[0]
    return weights.reshape(heads, 2, rows // heads // 2, -1).swapaxes(1, 2).reshape(weights.shape)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    write(Path(sys.argv[1]))
