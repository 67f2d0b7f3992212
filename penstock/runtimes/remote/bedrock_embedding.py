"""Embeddings of Bedrock's models: each maker has a form of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from penstock.core.errors import NotOffered
from penstock.runtimes.remote.asking import short
from penstock.runtimes.remote.contract import RemoteModel
from penstock.runtimes.remote.failures import malformed

NAME = "Bedrock"


class _ByType(msgspec.Struct):
    floats: list[list[float]] = msgspec.field(name="float")


class _Found(msgspec.Struct, rename="camel"):
    """What Titan says (one embedding, and tokens), and what Cohere says (several, plain or by type)."""

    embedding: list[float] | None = None
    embeddings: list[list[float]] | _ByType | None = None
    input_text_token_count: int = 0


_found = msgspec.json.Decoder(_Found)


def is_titan(model: RemoteModel) -> bool:
    """Whether it is one of Amazon's own."""
    return "titan-embed" in model.model


def is_known(model: RemoteModel) -> bool:
    """Whether it is one whose form is known here."""
    return is_titan(model) or "cohere.embed" in model.model


def asked(texts: Sequence[str], model: RemoteModel) -> dict[str, Any]:
    """The body for these texts. Raises `NotOffered` for more texts than one for Titan."""
    if is_titan(model):
        if len(texts) != 1:
            raise NotOffered("Titan embeds one text at a time")
        return short({"inputText": texts[0], "dimensions": model.dimensions or None})
    size = {"output_dimension": model.dimensions or None, "embedding_types": ["float"] if model.dimensions else None}
    return short({"texts": list(texts), "input_type": "search_document", "truncate": "NONE", **size})


def found(body: bytes, count: int) -> tuple[list[list[float]], int]:
    """Embeddings in order, and prompt tokens where they are told. Raises `ProviderFailed`."""
    try:
        told = _found.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise malformed(NAME) from None
    several = told.embeddings.floats if isinstance(told.embeddings, _ByType) else told.embeddings
    rows = several or ([] if told.embedding is None else [told.embedding])
    if len(rows) != count:
        raise malformed(NAME, f"{len(rows)} embeddings of {count} texts")
    return rows, told.input_text_token_count
