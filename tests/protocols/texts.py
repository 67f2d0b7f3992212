"""Models that read text as the doors see them: small, and the same answer to the same text every time."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from penstock.core.errors import BadInput
from penstock.core.signature import Signature, TensorSpec
from penstock.core.tensors import Array, Tensor, object_array
from tests.protocols.doors import Doors, view

SIZE = 48
MAX_TOKENS = 16
TEXT = TensorSpec("text", "BYTES", (-1,))
MORE = (TensorSpec("token_ids", "BYTES", (-1,), optional=True), TensorSpec("truncate", "BOOL", (-1,), optional=True))
READ = (TensorSpec("tokens", "INT32", (-1,)), TensorSpec("truncated", "BOOL", (-1,)))
EMBEDS = Signature(
    (TEXT, *MORE), (TensorSpec("embedding", "FP32", (-1, SIZE)), *READ), task="embedding", max_tokens=MAX_TOKENS
)
RERANKS = Signature(
    (TEXT, TensorSpec("text_pair", "BYTES", (-1,)), *MORE),
    (TensorSpec("score", "FP32", (-1,)), *READ),
    task="reranking",
    max_tokens=MAX_TOKENS,
)
CLASSIFIES = Signature(
    (TEXT, TensorSpec("text_pair", "BYTES", (-1,), optional=True), *MORE),
    (
        TensorSpec("label", "BYTES", (-1,)),
        TensorSpec("confidence", "FP32", (-1,)),
        TensorSpec("scores", "FP32", (-1, 2), labels=("bad", "good"), form="object"),
        *READ,
    ),
    task="classification",
    max_tokens=MAX_TOKENS,
)


def vector_of(text: str | bytes | list[int]) -> Array:
    """The embedding of a text, or of token ids: of length 1."""
    if isinstance(text, list):
        text = np.array(text, "<i4").tobytes()
    raw = text.encode() if isinstance(text, str) else text
    values = np.random.default_rng(zlib.crc32(raw)).standard_normal(SIZE).astype(np.float32)
    return values / np.linalg.norm(values)


def embed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """One vector per row, from its token ids if it has any, else from its text."""
    source = tensors.get("token_ids", tensors["text"]).array
    return {"embedding": Tensor.of(np.stack([vector_of(raw) for raw in source])), **read(tensors)}


def rerank(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The share of the query's words that the document has."""
    pairs = zip(tensors["text"].array, tensors["text_pair"].array, strict=True)
    shares = [len(set(q.split()) & set(d.split())) / len(q.split()) for q, d in pairs]
    return {"score": Tensor.of(np.array(shares, np.float32)), **read(tensors)}


def classify(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Good when the text says so."""
    good = np.array([0.875 if b"good" in text else 0.25 for text in tensors["text"].array], np.float32)
    labels = object_array([b"good" if share > 0.5 else b"bad" for share in good], good.shape)
    scores = np.stack([1 - good, good], axis=1)
    return {
        "label": Tensor("BYTES", labels),
        "confidence": Tensor.of(scores.max(axis=1)),
        "scores": Tensor.of(scores),
        **read(tensors),
    }


def read(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """How much of every row was read: words and two special tokens, at most `MAX_TOKENS` if it may be cut."""
    counts = []
    for name in ("text", "text_pair", "token_ids"):
        if name in tensors:
            size = (lambda raw: len(raw) // 4) if name == "token_ids" else lambda raw: len(raw.split())
            counts.append([size(raw) for raw in tensors[name].array])
    wanted = np.sum(counts, axis=0).astype(np.int32) + (0 if "token_ids" in tensors else 2)
    long = wanted > MAX_TOKENS
    may_cut = tensors["truncate"].array if "truncate" in tensors else np.zeros(long.size, bool)
    if (long & ~may_cut).any():
        raise BadInput(f"the text has {wanted.max()} tokens, the model reads at most {MAX_TOKENS}")
    return {"tokens": Tensor.of(np.minimum(wanted, MAX_TOKENS).astype(np.int32)), "truncated": Tensor.of(long)}


def answer(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Any of the models, by what is sent."""
    return rerank(tensors) if "text_pair" in tensors else embed(tensors)


def text_doors(**rest: Any) -> Doors:
    """An embedding model that normalizes, one that does not, a reranker, a classifier, and a table's model."""
    return Doors(
        view("minilm", EMBEDS, options={"normalize": True}),
        view("plain", EMBEDS),
        view("org/reranker", RERANKS),
        view("mood", CLASSIFIES),
        view("iris"),
        view("loading", None),
        answer=rest.pop("answer", answer),
        **rest,
    )
