"""PEFT's LoRA adapters (adapter_config.json and safetensors), written as the GGUF file that llama.cpp reads."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator
from math import prod, sqrt
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from penstock.core.errors import ModelFileError

Weights = NDArray[np.float32]
_HEADER_BYTES = 16 * 1024 * 1024
_ALIGNMENT = 32
_STRING, _FLOAT = 8, 6
_NAME = re.compile(r".*layers\.(\d+)\.(?:self_attn|mlp)\.(\w+)\.lora_([AB])(?:\.default)?\.weight")
_MODULES = {
    "q_proj": "attn_q",
    "k_proj": "attn_k",
    "v_proj": "attn_v",
    "o_proj": "attn_output",
    "qkv_proj": "attn_qkv",
    "gate_proj": "ffn_gate",
    "up_proj": "ffn_up",
    "down_proj": "ffn_down",
}
_ROTATED = ("attn_q", "attn_k")
_NEEDS = "llama.cpp reads plain LoRA adapters of attention and feed-forward layers"


class Base(NamedTuple):
    """The model that an adapter belongs to."""

    architecture: str
    heads: int
    kv_heads: int


def write(source: Path, target: Path, base: Base) -> None:
    """Translates an adapter (its folder, or the safetensors in it). Raises `ModelFileError` for what llama.cpp cannot
    apply."""
    file = source / "adapter_model.safetensors" if source.is_dir() else source
    try:
        settings = json.loads((file.parent / "adapter_config.json").read_text(encoding="utf-8"))
        alpha = _alpha(settings)
        tensors = {_name(name): _rotated(_name(name), weights, base) for name, weights in _tensors(file)}
    except (OSError, ValueError, KeyError, TypeError, struct.error) as error:
        raise ModelFileError("its adapter_config.json or safetensors cannot be read", detail=str(error)) from error
    target.write_bytes(_gguf(base.architecture, alpha, tensors))


def _alpha(settings: dict[str, Any]) -> float:
    """What llama.cpp divides by the rank to scale the adapter."""
    for name in ("rank_pattern", "alpha_pattern", "modules_to_save", "use_dora"):
        if settings.get(name):
            raise ModelFileError(f"{_NEEDS}, and this one has {name}")
    alpha, rank = float(settings["lora_alpha"]), int(settings["r"])
    return alpha * sqrt(rank) if settings.get("use_rslora") else alpha


def _name(name: str) -> str:
    found = _NAME.fullmatch(name)
    if found is None or found[2] not in _MODULES:
        raise ModelFileError(f"{_NEEDS}; this one changes {name[:100]!r}")
    return f"blk.{found[1]}.{_MODULES[found[2]]}.weight.lora_{found[3].lower()}"


def _rotated(name: str, weights: Weights, base: Base) -> Weights:
    """GGUF's llama has the two halves of each head's rotary pairs side by side."""
    module = name.split(".")[2]
    if base.architecture != "llama" or module not in _ROTATED or not name.endswith("_b"):
        return weights
    heads = base.heads if module == "attn_q" else base.kv_heads
    return weights.reshape(heads, 2, -1, weights.shape[1]).swapaxes(1, 2).reshape(weights.shape)


def _tensors(file: Path) -> Iterator[tuple[str, Weights]]:
    data = file.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    if length > min(_HEADER_BYTES, len(data)):
        raise ValueError("the header is longer than the file")
    for name, entry in json.loads(data[8 : 8 + length]).items():
        if name != "__metadata__":
            yield name, _weights(data[8 + length :], entry)


def _weights(data: bytes, entry: dict[str, Any]) -> Weights:
    start, end = entry["data_offsets"]
    raw = data[start:end]
    match entry["dtype"]:
        case "F32":
            values = np.frombuffer(raw, np.float32)
        case "F16":
            values = np.frombuffer(raw, np.float16).astype(np.float32)
        case "BF16":
            values = (np.frombuffer(raw, np.uint16).astype(np.uint32) << 16).view(np.float32)
        case kind:
            raise ModelFileError(f"{_NEEDS}, and this one's numbers are {kind}")
    if len(entry["shape"]) != 2 or prod(entry["shape"]) != values.size:
        raise ValueError("a tensor's shape does not match its bytes")
    return values.reshape(entry["shape"])


def _gguf(architecture: str, alpha: float, tensors: dict[str, Weights]) -> bytes:
    facts = {"general.type": "adapter", "general.architecture": architecture, "adapter.type": "lora"}
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(facts) + 1)
    for key, text in facts.items():
        head += _string(key) + struct.pack("<I", _STRING) + _string(text)
    head += _string("adapter.lora.alpha") + struct.pack("<If", _FLOAT, alpha)
    offset = 0
    for name, weights in tensors.items():
        rows, columns = weights.shape
        head += _string(name) + struct.pack("<IQQIQ", 2, columns, rows, 0, offset)
        offset += _padded(weights.nbytes)
    body = b"".join(weights.tobytes().ljust(_padded(weights.nbytes), b"\0") for weights in tensors.values())
    return head.ljust(_padded(len(head)), b"\0") + body


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _padded(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT
