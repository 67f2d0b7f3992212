"""Small vocabularies, trained on the spot, as a tokenizer.json and as the GGUF file that says the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA3 = QWEN2.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
CONTROL = ["<|end|>", "<|user|>"]
TEXTS = [
    "The water of the mill turns the wheel, and the wheel turns the stone: 1,234 turns an hour.",
    "def turn(wheel):\n    return wheel.turns + 12345\n\n\n# it's the miller's own, isn't it?",
    "Größe, naïveté, 水車小屋の水, мельница, 🙂🙂, ﷺ",
] * 3


def byte_level(pattern: str | None) -> Any:
    """Byte-level BPE; `pattern` None cuts as GPT-2 does."""
    made = tokenizers.Tokenizer(models.BPE())
    inner = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pattern is None)
    split = [pre_tokenizers.Split(tokenizers.Regex(pattern), "isolated")] if pattern else []
    made.pre_tokenizer = pre_tokenizers.Sequence([*split, inner])
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(TEXTS, _trainer(CONTROL, initial_alphabet=alphabet))
    made.add_tokens([tokenizers.AddedToken("<call>", normalized=False)])
    return made


def sentencepiece() -> Any:
    """BPE over characters with "▁" for spaces and bytes for what it does not know, as Llama 2 has."""
    made = tokenizers.Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    made.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    names = ["<unk>", *CONTROL, *(f"<0x{byte:02X}>" for byte in range(256))]
    made.train_from_iterator(TEXTS, _trainer(names))
    described = json.loads(made.to_str())
    bytes_ = [token for token in described["added_tokens"] if token["content"].startswith("<0x")]
    described["added_tokens"] = [token for token in described["added_tokens"] if token not in bytes_]
    return tokenizers.Tokenizer.from_str(json.dumps(described))


def _trainer(names: list[str], **more: Any) -> Any:
    return trainers.BpeTrainer(vocab_size=700, special_tokens=names, show_progress=False, **more)


def write_gguf(path: Path, made: Any, kind: str, /, **keys: Any) -> Path:
    """The same vocabulary as GGUF metadata; `keys` are further ones, over what the vocabulary says."""
    described = json.loads(made.to_str())
    known = made.get_vocab(with_added_tokens=True)
    tokens = [token for token, _ in sorted(known.items(), key=lambda item: item[1])]
    types = [_type(token, described["added_tokens"]) for token in tokens]
    merges = [" ".join(pair) for pair in described["model"]["merges"]]
    writer = gguf.GGUFWriter(str(path), "llama")
    values = {"model": kind, "tokens": tokens, "token_type": types, "merges": merges}
    if kind == "llama":
        values |= {"scores": _scores(tokens, merges)}
    values |= keys
    for key, value in values.items():
        add = {str: writer.add_string, bool: writer.add_bool}.get(type(value), writer.add_array)
        if value is not None:
            add("tokenizer.ggml." + key, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return path


def _type(token: str, added: list[dict[str, Any]]) -> int:
    for one in added:
        if one["content"] == token:
            return 2 if token == "<unk>" else 3 if one["special"] else 4
    return 6 if token.startswith("<0x") else 1


def _scores(tokens: list[str], merges: list[str]) -> list[float]:
    """SentencePiece's: what merges earlier scores higher."""
    ranks: dict[str, int] = {}
    for rank, merge in enumerate(merges):
        ranks.setdefault(merge.replace(" ", ""), rank)
    return [-float(ranks.get(token, len(merges))) for token in tokens]
