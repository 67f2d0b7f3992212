"""Is the embedding right? By its cosine with what torch says."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import numpy as np

from bench.http import Answer
from bench.text.material import Vectors

Reader = Callable[[Any], Vectors]


def plain(body: Any) -> Vectors:
    """`{"embedding": [...]}`."""
    return np.asarray(body["embedding"], np.float32)


def openai_floats(body: Any) -> Vectors:
    """OpenAI's shape, with numbers."""
    return np.asarray(body["data"][0]["embedding"], np.float32)


def openai_base64(body: Any) -> Vectors:
    """OpenAI's shape, with the bytes of little-endian FP32 in base64, as its own client asks for."""
    return np.frombuffer(base64.b64decode(body["data"][0]["embedding"], validate=True), "<f4")


def similarity(answer: Answer, read: Reader, expected: Vectors) -> float:
    """The cosine between the answer and the expected embedding. Raises `ValueError` when it is none."""
    if answer.status != 200:
        raise ValueError(f"status {answer.status}: {answer.body[:200].decode(errors='replace')}")
    found = read(json.loads(answer.body))
    if found.shape != expected.shape:
        raise ValueError(f"an embedding of shape {list(found.shape)}, the model has {list(expected.shape)}")
    return cosine(found, expected)


def cosine(one: Vectors, other: Vectors) -> float:
    """Between two vectors; not a number where one of them is zero."""
    a, b = one.astype(np.float64), other.astype(np.float64)
    with np.errstate(invalid="ignore"):
        return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def close(answer: Answer, read: Reader, expected: Vectors, least: float) -> str | None:
    """What is wrong with the answer, or None."""
    found = similarity(answer, read, expected)
    # Written so that a cosine that is not a number fails too.
    return None if found >= least else f"cosine {found:.5f} with torch's embedding, below {least}"
