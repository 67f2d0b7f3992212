"""Hugging Face folders and parts of them, written by hand: nothing but JSON and a few bytes."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "red", "shoes"]
BERT: dict[str, Any] = {
    "architectures": ["BertModel"],
    "model_type": "bert",
    "vocab_size": len(WORDS),
    "max_position_embeddings": 64,
    "pad_token_id": 0,
}
TOKENIZER = {
    "version": "1.0",
    "added_tokens": [{"id": 0, "content": "[PAD]", "special": True}],
    "model": {"type": "WordPiece", "unk_token": "[UNK]", "vocab": {word: n for n, word in enumerate(WORDS)}},
}
MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
]
NORMALIZE = {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}
POOLING = "1_Pooling/config.json"


def folder(path: Path, config: Mapping[str, Any] | None = None, **files: Any) -> Path:
    """A folder with a tokenizer and weights; `config` over a BERT's, `files` by name: JSON, bytes, or None for none."""
    made: dict[str, Any] = {
        "config.json": {**BERT, **(config or {})},
        "tokenizer.json": TOKENIZER,
        "model.safetensors": safetensors(),
        **files,
    }
    for name, value in made.items():
        if value is not None:
            put(path / name, value)
    return path


def put(path: Path, value: Any) -> None:
    """Writes bytes as they are, and anything else as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(value if isinstance(value, bytes) else json.dumps(value).encode())


def safetensors(dtype: str = "F32", numbers: int = 4, name: str = "weight") -> bytes:
    """One tensor of zeros."""
    size = numbers * {"F32": 4, "F16": 2, "BF16": 2}[dtype]
    header = json.dumps({name: {"dtype": dtype, "shape": [numbers], "data_offsets": [0, size]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(size)


def ir(weights: int = 8) -> bytes:
    """An OpenVINO IR that has one constant of so many bytes in its .bin file."""
    constant = f'<data element_type="f32" shape="2" offset="0" size="{weights}"/>' if weights else ""
    return (
        f'<?xml version="1.0"?>\n<net name="m" version="11"><layers><layer id="0" type="Const">{constant}'
        "</layer></layers></net>\n"
    ).encode()
