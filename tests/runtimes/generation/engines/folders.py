"""The demo's model as a Hugging Face folder, for engines that read no GGUF."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.runtimes.generation.engines.driving import TINY
from tests.runtimes.generation.engines.reference import reference

SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def tiny_folder(folder: Path) -> Path:
    """Writes weights, configuration and tokenizer; gives the folder."""
    reference(TINY).save_pretrained(folder)
    (folder / "tokenizer.json").write_text(_tokenizer(), encoding="utf-8")
    described = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(described), encoding="utf-8")
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": 1019}), encoding="utf-8")
    return folder


def _tokenizer() -> str:
    import gguf
    import tokenizers
    from tokenizers import decoders, models, pre_tokenizers

    fields: dict[str, Any] = {
        name: field for name, field in gguf.GGUFReader(TINY).fields.items() if "tokenizer" in name
    }
    tokens = fields["tokenizer.ggml.tokens"].contents()
    types = fields["tokenizer.ggml.token_type"].contents()
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"].contents()]
    made = tokenizers.Tokenizer(models.BPE({token: number for number, token in enumerate(tokens)}, merges))
    split = pre_tokenizers.Split(tokenizers.Regex(SPLIT), "isolated")
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    made.decoder = decoders.ByteLevel()
    control = [
        tokenizers.AddedToken(token, special=True) for token, kind in zip(tokens, types, strict=True) if kind == 3
    ]
    made.add_special_tokens(control)
    own = [token for token, kind in zip(tokens, types, strict=True) if kind == 4]
    made.add_tokens([tokenizers.AddedToken(token, normalized=False) for token in own])
    return str(made.to_str())
