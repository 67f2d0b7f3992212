"""OpenAI's embedding request, with settings of ours beside it, as tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
import numpy as np

from penstock.core.tensors import Tensor, object_array
from penstock.core.text import TEXT, TOKEN_IDS
from penstock.protocols.reading import read, wrong
from penstock.protocols.texts import check_count, text_tensor, with_truncation

FIELDS = {
    "input": "a text, a list of texts, a list of token ids (0 to 2147483647), or a list of such lists",
    "model": "the name of a served model",
    "encoding_format": '"float" or "base64"',
    "dimensions": "how many of the first numbers of each embedding to keep, at least 1",
    "user": "a text",
    "truncate": "true to cut texts that are too long, false to refuse them",
    "truncate_prompt_tokens": "-1, which is the same as truncate: true",
    "timeout_ms": "the time to answer in milliseconds",
    "priority": "an integer from 1 (most urgent) to 9",
}
_TokenId = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
_ID_DTYPE = np.dtype("<i4")


class EmbeddingsRequest(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The body of POST /v1/embeddings; see `FIELDS`."""

    input: str | list[str | _TokenId | list[_TokenId]]
    model: str
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, msgspec.Meta(ge=1)] | None = None
    user: str | None = None
    truncate: bool | None = None
    truncate_prompt_tokens: Literal[-1] | None = None
    timeout_ms: float | None = None
    priority: int | None = None


_decoder = msgspec.json.Decoder(EmbeddingsRequest)


def read_request(body: bytes | bytearray) -> tuple[EmbeddingsRequest, dict[str, Tensor]]:
    """The message and its tensors. Raises `BadInput` and `TooLarge`, naming the field."""
    message = read(_decoder, body, FIELDS)
    tensors = tensors_of(message.input)
    return message, with_truncation(tensors, _truncate(message), tensors[TEXT].array.shape[0])


def tensors_of(given: str | Sequence[Any]) -> dict[str, Tensor]:
    """One row per text, or per list of token ids (the text is then empty)."""
    items = [given] if isinstance(given, str) else given
    kinds = set(map(type, items))
    if len(kinds) > 1:
        raise wrong("input", "input mixes texts and token ids; send lists of one kind")
    if kinds == {int}:
        items = [items]
    check_count("input", len(items))
    empty: Any = "" if isinstance(items[0], str) else []
    if empty in items:
        where = "input" if isinstance(given, str) else f"input[{items.index(empty)}]"
        raise wrong("input", f"{where} is empty; an embedding needs at least one character or token id")
    if isinstance(items[0], str):
        return {TEXT: text_tensor(items)}
    rows = len(items)
    ids = object_array([np.array(row, _ID_DTYPE).tobytes() for row in items], (rows,))
    return {TEXT: Tensor("BYTES", object_array([b""] * rows, (rows,))), TOKEN_IDS: Tensor("BYTES", ids)}


def _truncate(message: EmbeddingsRequest) -> bool | None:
    """Two names for one setting; they may not contradict each other."""
    if message.truncate_prompt_tokens is None:
        return message.truncate
    if message.truncate is False:
        raise wrong("truncate", "truncate: false and truncate_prompt_tokens: -1 contradict each other; send one")
    return True
