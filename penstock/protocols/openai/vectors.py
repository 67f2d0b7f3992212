"""Embeddings to the bytes of OpenAI's answer."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from penstock.core.tensors import Array, Tensors
from penstock.core.text import EMBEDDING
from penstock.protocols.json_arrays import encode
from penstock.protocols.texts import tokens_read, truncated_rows

_encode_bytes = msgspec.json.Encoder().encode


def shortened(vectors: Array, dimensions: int | None, normalize: bool) -> Array:
    """The first numbers of each embedding as float32 [rows, dimensions], of length 1 again if `normalize`."""
    if dimensions is None or dimensions == vectors.shape[1]:
        return np.ascontiguousarray(vectors, np.float32)
    cut = np.ascontiguousarray(vectors[:, :dimensions], np.float32)
    if not normalize:
        return cut
    lengths: Array = np.maximum(np.linalg.norm(cut, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return np.divide(cut, lengths)


def answer(outputs: Tensors, model: str, dimensions: int | None, normalize: bool, base64: bool) -> bytes:
    """The body: embeddings as numbers (NaN is null), or as base64 of little-endian float32."""
    vectors = shortened(outputs[EMBEDDING].array, dimensions, normalize)
    # msgspec writes buffers as base64, 2 µs for 384 numbers.
    rows = [row.data for row in vectors.astype("<f4", copy=False)] if base64 else list(vectors)
    tokens = tokens_read(outputs)
    message: dict[str, Any] = {
        "object": "list",
        "data": [{"object": "embedding", "index": index, "embedding": row} for index, row in enumerate(rows)],
        "model": model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
    if cut := truncated_rows(outputs):
        message["truncated"] = cut
    return _encode_bytes(message) if base64 else encode(message)
