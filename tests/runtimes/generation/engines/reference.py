"""The same network in transformers, in fp32: what engines are compared with."""

from __future__ import annotations

import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
WHOLE = {"token_embd": "embed_tokens", "output_norm": "norm"}


@cache
def reference(path: Path) -> Any:
    """A llama GGUF with tied embeddings as a transformers model."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import gguf
        import torch
        from transformers import LlamaConfig, LlamaForCausalLM
    reader = gguf.GGUFReader(path)
    key = {name: field.contents() for name, field in reader.fields.items() if name.startswith("llama.")}
    config = LlamaConfig(
        vocab_size=len(reader.fields["tokenizer.ggml.tokens"].data),
        hidden_size=key["llama.embedding_length"],
        intermediate_size=key["llama.feed_forward_length"],
        num_hidden_layers=key["llama.block_count"],
        num_attention_heads=key["llama.attention.head_count"],
        num_key_value_heads=key["llama.attention.head_count_kv"],
        max_position_embeddings=key["llama.context_length"],
        rms_norm_eps=key["llama.attention.layer_norm_rms_epsilon"],
        rope_theta=key["llama.rope.freq_base"],
        tie_word_embeddings=True,
    )
    heads = (config.num_attention_heads, config.num_key_value_heads)
    weights = {_name(tensor.name): torch.tensor(_weight(tensor, heads)) for tensor in reader.tensors}
    model = LlamaForCausalLM(config).eval()
    missing, unexpected = model.load_state_dict(weights, strict=False)
    assert (missing, unexpected) == (["lm_head.weight"], [])
    return model


def _name(name: str) -> str:
    parts = name.removesuffix(".weight").split(".")
    if parts[0] == "blk":
        return f"model.layers.{parts[1]}.{LAYER[parts[2]]}.weight"
    return f"model.{WHOLE[parts[0]]}.weight"


def _weight(tensor: Any, heads: tuple[int, int]) -> Any:
    weight = np.array(tensor.data, np.float32)
    for part, count in zip(("attn_q.", "attn_k."), heads, strict=True):
        if part in tensor.name:
            # GGUF has the two halves of each head's rotary pairs side by side.
            weight = weight.reshape(count, -1, 2, weight.shape[1]).swapaxes(1, 2).reshape(weight.shape)
    return weight


def greedy(path: Path, prompt: list[int], length: int, end: int) -> list[int]:
    """The likeliest tokens after a prompt, up to and with `end`."""
    tokens = list(prompt)
    while len(tokens) < len(prompt) + length and tokens[-1] != end:
        tokens.append(int(logits(path, tokens)[-1].argmax()))
    return tokens[len(prompt) :]


def logits(path: Path, tokens: list[int]) -> Any:
    """The logits of the whole vocabulary after each token."""
    import torch

    with torch.no_grad():
        return reference(path)(torch.tensor([tokens])).logits[0].numpy()


def logprobs(path: Path, tokens: list[int]) -> Any:
    """The log-probabilities of the whole vocabulary after each token."""
    values = logits(path, tokens).astype(np.float64)
    return values - np.log(np.exp(values).sum(axis=-1, keepdims=True))
