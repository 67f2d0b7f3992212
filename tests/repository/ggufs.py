"""GGUF files written by hand: as small as they can be, and as wrong as they can be."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

TYPES: dict[str, tuple[int, str]] = {
    "u8": (0, "<B"), "i8": (1, "<b"), "u16": (2, "<H"), "i16": (3, "<h"), "u32": (4, "<I"), "i32": (5, "<i"),
    "f32": (6, "<f"), "bool": (7, "<?"), "u64": (10, "<Q"), "i64": (11, "<q"), "f64": (12, "<d"),
}  # fmt: skip
TEXT, ARRAY = 8, 9
F32, F16, Q4_0, Q5_K, Q6_K, Q4_K, Q8_0 = 0, 1, 2, 13, 14, 12, 8
WORDS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *"abcdefgh"]
BLOCKS = {
    F32: (1, 4),
    F16: (1, 2),
    Q4_0: (32, 18),
    Q8_0: (32, 34),
    Q4_K: (256, 144),
    Q5_K: (256, 176),
    Q6_K: (256, 210),
}


def text(value: str | bytes) -> bytes:
    data = value if isinstance(value, bytes) else value.encode()
    return struct.pack("<Q", len(data)) + data


def number(kind: str, value: Any) -> bytes:
    code, layout = TYPES[kind]
    return struct.pack("<I", code) + struct.pack(layout, value)


def array(kind: str, values: Sequence[Any]) -> bytes:
    if kind == "text":
        body = struct.pack("<IQ", TEXT, len(values)) + b"".join(text(value) for value in values)
    else:
        code, layout = TYPES[kind]
        body = struct.pack("<IQ", code, len(values)) + b"".join(struct.pack(layout, value) for value in values)
    return struct.pack("<I", ARRAY) + body


def value(given: Any) -> bytes:
    """A setting's type and value, as writers usually choose them."""
    if isinstance(given, bytes):
        return given
    if isinstance(given, str):
        return struct.pack("<I", TEXT) + text(given)
    if isinstance(given, bool):
        return number("bool", given)
    if isinstance(given, int):
        return number("u32", given)
    if isinstance(given, float):
        return number("f32", given)
    return array("text" if given and isinstance(given[0], (str, bytes)) else "i32", given)


def settings(**changes: Any) -> dict[str, Any]:
    """Of a llama of two layers; None takes one out. `__` stands for a dot."""
    made: dict[str, Any] = {
        "general.architecture": "llama",
        "general.name": "Small",
        "general.license": "mit",
        "general.file_type": 7,
        "llama.context_length": 64,
        "llama.embedding_length": 32,
        "llama.block_count": 2,
        "llama.attention.head_count": 4,
        "llama.attention.head_count_kv": 2,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.tokens": WORDS,
        "tokenizer.ggml.token_type": [3, 3, 3] + [1] * (len(WORDS) - 3),
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.chat_template": "{{ messages }}",
    }
    made |= {name.replace("__", "."): given for name, given in changes.items()}
    return {name: given for name, given in made.items() if given is not None}


Tensors = Sequence[tuple[str, tuple[int, ...], int]]
TENSORS: Tensors = (
    ("token_embd.weight", (32, len(WORDS)), Q8_0),
    ("output_norm.weight", (32,), F32),
    ("blk.0.attn_q.weight", (32, 32), Q8_0),
)


def gguf(
    given: Mapping[str, Any] | None = None, tensors: Tensors = TENSORS, version: int = 3, align: int = 32
) -> bytes:
    """A whole file."""
    pairs = settings() if given is None else given
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(pairs))
    head += b"".join(text(name) + value(each) for name, each in pairs.items())
    offset, body = 0, b""
    for name, shape, kind in tensors:
        block, width = BLOCKS[kind]
        size = width
        for dimension in shape:
            size *= dimension
        size //= block
        head += text(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *shape)
        head += struct.pack("<IQ", kind, offset)
        padded = -(-size // align) * align
        body += bytes(padded)
        offset += padded
    return head + bytes(-len(head) % align) + body


def write(path: Path, given: Mapping[str, Any] | None = None, tensors: Tensors = TENSORS) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gguf(given, tensors))
    return path
