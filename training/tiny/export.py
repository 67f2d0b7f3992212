"""Writes the trained network as one GGUF file in half precision, and as a Hugging Face folder of the same weights.

    python -m training.tiny.export --out FOLDER [--gguf FILE]

The file is FOLDER/tiny.gguf unless it is named.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import gguf
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import Tensor

from training.tiny import grammar
from training.tiny import tokenizer as tokens
from training.tiny.model import Shape

NAME = "Penstock Tiny"
LAYER = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def half(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights as both files hold them: half precision, norms too."""
    return {name: value.to(torch.float16).contiguous() for name, value in weights.items()}


def gguf_name(name: str) -> str:
    """A tensor's name in GGUF: `model.layers.0.mlp.up_proj.weight` is `blk.0.ffn_up.weight`."""
    if name == "model.embed_tokens.weight":
        return "token_embd.weight"
    if name == "model.norm.weight":
        return "output_norm.weight"
    number, part = name.removeprefix("model.layers.").removesuffix(".weight").split(".", 1)
    return f"blk.{number}.{LAYER[part]}.weight"


def interleaved(weight: Tensor, heads: int) -> Tensor:
    """Queries and keys with the halves of each head shuffled into pairs, the way GGUF lays out RoPE for Llama."""
    rows, columns = weight.shape
    return weight.view(heads, 2, rows // heads // 2, columns).transpose(1, 2).reshape(rows, columns)


def write_gguf(path: Path, weights: dict[str, Tensor], tokenizer: Tokenizer, shape: Shape) -> None:
    """One file with the weights, the tokenizer and the chat template."""
    writer = gguf.GGUFWriter(path, "llama")
    describe(writer, shape)
    describe_tokens(writer, tokenizer)
    for name, value in weights.items():
        if name.endswith(("q_proj.weight", "k_proj.weight")):
            value = interleaved(value, shape.heads)
        writer.add_tensor(gguf_name(name), (value.float() if value.ndim == 1 else value).numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def describe(writer: gguf.GGUFWriter, shape: Shape) -> None:
    """What the network is."""
    writer.add_name(NAME)
    writer.add_description("A tiny model of an invented world, for tests and demonstrations.")
    writer.add_license("Apache-2.0")
    writer.add_languages(["en"])
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_vocab_size(shape.vocab)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.hidden)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.ffn)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.heads)
    writer.add_key_length(shape.head_dim)
    writer.add_value_length(shape.head_dim)
    writer.add_layer_norm_rms_eps(shape.eps)
    writer.add_rope_dimension_count(shape.head_dim)
    writer.add_rope_freq_base(shape.theta)


def describe_tokens(writer: gguf.GGUFWriter, tokenizer: Tokenizer) -> None:
    """What the tokens are; no token is put before a text."""
    texts = [tokenizer.id_to_token(number) for number in range(tokenizer.get_vocab_size())]
    kinds = dict.fromkeys(tokens.CONTROL, gguf.TokenType.CONTROL)
    kinds |= dict.fromkeys(tokens.MARKS, gguf.TokenType.USER_DEFINED)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(texts)
    writer.add_token_types([kinds.get(text, gguf.TokenType.NORMAL) for text in texts])
    writer.add_token_merges(tokens.merges(tokenizer))
    writer.add_bos_token_id(texts.index(grammar.TEXT))
    writer.add_eos_token_id(texts.index(grammar.END))
    writer.add_eot_token_id(texts.index(grammar.END))
    writer.add_pad_token_id(texts.index(grammar.TEXT))
    writer.add_add_bos_token(False)
    writer.add_chat_template(grammar.TEMPLATE)


def write_folder(folder: Path, weights: dict[str, Tensor], tokenizer: Tokenizer, shape: Shape) -> None:
    """A folder that transformers reads: configuration, tokenizer, template and safetensors."""
    folder.mkdir(parents=True, exist_ok=True)
    pad, end = tokenizer.token_to_id(grammar.TEXT), tokenizer.token_to_id(grammar.END)
    ids = {"bos_token_id": None, "eos_token_id": end, "pad_token_id": pad}
    write_json(folder / "config.json", configuration(shape) | ids)
    write_json(folder / "generation_config.json", ids | {"eos_token_id": [end, pad], "do_sample": False})
    write_json(folder / "tokenizer_config.json", tokenizer_settings(shape))
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "chat_template.jinja").write_text(grammar.TEMPLATE, encoding="utf-8")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write it with indents."""
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def configuration(shape: Shape) -> dict[str, Any]:
    """The network as transformers' LlamaConfig."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": shape.vocab,
        "hidden_size": shape.hidden,
        "intermediate_size": shape.ffn,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.heads,
        "head_dim": shape.head_dim,
        "max_position_embeddings": shape.context,
        "rms_norm_eps": shape.eps,
        "rope_theta": shape.theta,
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": True,
        "torch_dtype": "float16",
    }


def tokenizer_settings(shape: Shape) -> dict[str, Any]:
    """What transformers must know of the tokenizer besides its file."""
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": None,
        "eos_token": grammar.END,
        "pad_token": grammar.TEXT,
        "unk_token": None,
        "add_bos_token": False,
        "clean_up_tokenization_spaces": False,
        "model_max_length": shape.context,
    }


def export(out: Path, path: Path | None = None) -> None:
    """Read FOLDER/model.pt; write the GGUF file (FOLDER/tiny.gguf) and FOLDER/hf."""
    weights = half(torch.load(out / "model.pt", weights_only=True))
    tokenizer = tokens.load(out / "tokenizer.json")
    write_gguf(path or out / "tiny.gguf", weights, tokenizer, Shape())
    write_folder(out / "hf", weights, tokenizer, Shape())


def main() -> None:
    """Read the options and export."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--out", type=Path, required=True)
    options.add_argument("--gguf", type=Path, help="default: FOLDER/tiny.gguf")
    chosen = options.parse_args()
    export(chosen.out, chosen.gguf)


if __name__ == "__main__":
    main()
