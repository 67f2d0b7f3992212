"""POST /v1/rerank, as Cohere, Jina and vLLM have it: documents in the order of their relevance to a query."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
import numpy as np

from penstock.core.clock import Clock
from penstock.core.errors import TooLarge
from penstock.core.model import Catalog
from penstock.core.request import Handler
from penstock.core.tensors import Tensor, Tensors, object_array
from penstock.core.text import PAIR, SCORE, TEXT
from penstock.protocols.answer import deadline_of, priority_of, reply_headers
from penstock.protocols.aside import HEAVY, aside
from penstock.protocols.asking import request_of
from penstock.protocols.http.message import HttpRequest, HttpResponse
from penstock.protocols.http.routes import Routes
from penstock.protocols.json_arrays import encode
from penstock.protocols.reading import read, wrong
from penstock.protocols.texts import (
    check_count,
    named_or_only,
    signature_for,
    text_tensor,
    tokens_read,
    truncated_rows,
    with_truncation,
)
from penstock.protocols.visible import visible

FIELDS = {
    "query": "a text",
    "documents": 'a list of texts, or of objects such as {"text": "..."}',
    "model": "the name of a served model (needed when several rerank)",
    "top_n": "how many results to give at most, at least 1",
    "return_documents": "true to have each document in its result",
    "truncate": "true to cut pairs of query and document that are too long, false to refuse them",
    "timeout_ms": "the time to answer in milliseconds",
    "priority": "an integer from 1 (most urgent) to 9",
}
NOT_OFFERED = {
    "rank_fields": "documents are ranked by their text alone",
    "max_tokens_per_doc": "send truncate: true to cut what is too long for the model",
    "max_chunks_per_doc": "documents are not split; send parts of a long document as documents",
    "relevant_spans": "documents are scored as a whole",
}
PATHS = {"/v1/rerank": "1", "/rerank": "1", "/v2/rerank": "2"}
"""Every path, with the version of Cohere's API that it belongs to."""
MAX_QUERIES = 64 * 2**20
"""Bytes of the query over all documents: it is read again with each, so a small body could make very much text."""


class RerankRequest(msgspec.Struct, forbid_unknown_fields=True, gc=False, kw_only=True):
    """The body; see `FIELDS`. What is not offered may only be null (`NOT_OFFERED`)."""

    query: str
    documents: list[str | dict[str, Any]]
    model: str | None = None
    top_n: Annotated[int, msgspec.Meta(ge=1)] | None = None
    return_documents: bool | None = None
    truncate: bool | None = None
    timeout_ms: float | None = None
    priority: int | None = None
    rank_fields: Any = None
    max_tokens_per_doc: Any = None
    max_chunks_per_doc: Any = None
    relevant_spans: Any = None


_decoder = msgspec.json.Decoder(RerankRequest)


class Rerank:
    """Translates to and from the path, and nothing else."""

    def __init__(self, handler: Handler, models: Catalog, clock: Clock):
        self._handler = handler
        self._models = models
        self._clock = clock

    def mount(self, routes: Routes) -> None:
        """Adds the door's paths."""
        for path in PATHS:
            routes.add("POST", path, self.rerank, "infer")

    async def rerank(self, http: HttpRequest) -> HttpResponse:
        """POST /v1/rerank, and where other clients look for it."""
        if len(http.body) > HEAVY:
            message, tensors = await aside(read_request, http.body)
        else:
            message, tensors = read_request(http.body)
        models = visible(self._models, http.principal)
        model = named_or_only(models, message.model, "reranking")
        signature_for(models, model, "reranking")
        deadline, priority = deadline_of(message.timeout_ms, self._clock), priority_of(message.priority)
        reply = await self._handler(request_of(http, model, tensors, deadline=deadline, priority=priority))
        outputs = await reply
        body = msgspec.json.encode(answer(message, model, outputs) | {"id": http.id, "meta": _meta(http, outputs)})
        return HttpResponse(200, body, headers=reply_headers(reply.meta, outputs))


def read_request(body: bytes | bytearray) -> tuple[RerankRequest, dict[str, Tensor]]:
    """The message, and one row per document: the query and the document's text. Raises `BadInput`, `TooLarge`."""
    message = read(_decoder, body, FIELDS)
    for name, says in NOT_OFFERED.items():
        if getattr(message, name) is not None:
            raise wrong(name, f"{name} is not offered: {says}")
    if not message.query:
        raise wrong("query", "query is empty; send at least one character")
    query, rows = message.query.encode(), len(message.documents)
    check_count("documents", rows)
    if len(query) * rows > MAX_QUERIES:
        says = f"query has {len(query)} bytes, at most {MAX_QUERIES // rows} with {rows} documents; shorten it"
        raise wrong("query", f"{says}, or send fewer documents at a time", TooLarge)
    tensors = {
        TEXT: Tensor("BYTES", object_array([query] * rows, (rows,))),
        PAIR: text_tensor([text_of(document, index) for index, document in enumerate(message.documents)]),
    }
    return message, with_truncation(tensors, message.truncate, rows)


def text_of(document: str | dict[str, Any], index: int) -> str:
    """What is scored: a document's text; its other fields only come back with it."""
    text = document if isinstance(document, str) else document.get("text")
    if not isinstance(text, str):
        raise wrong("documents", f'documents[{index}] must be a text, or an object such as {{"text": "..."}}')
    return text


def answer(message: RerankRequest, model: str, outputs: Tensors) -> dict[str, Any]:
    """The results, the most relevant first; of equals, in the order given."""
    scores = outputs[SCORE].array
    order: Sequence[int] = np.argsort(-scores, kind="stable")[: message.top_n].tolist()
    results = [_result(message, index, scores[index]) for index in order]
    found: dict[str, Any] = {"model": model, "results": results, "usage": {"total_tokens": tokens_read(outputs)}}
    if cut := truncated_rows(outputs):
        found["truncated"] = cut
    return found


def _result(message: RerankRequest, index: int, score: np.float32) -> dict[str, Any]:
    result: dict[str, Any] = {"index": index, "relevance_score": msgspec.Raw(encode(score))}
    if message.return_documents:
        document = message.documents[index]
        result["document"] = {"text": document} if isinstance(document, str) else document
    return result


def _meta(http: HttpRequest, outputs: Tensors) -> dict[str, Any]:
    """What Cohere's clients look for: the version of the API, what was read, and that it was one search."""
    return {
        "api_version": {"version": PATHS.get(http.path.rstrip(b"/").decode(), "1")},
        "billed_units": {"search_units": 1},
        "tokens": {"input_tokens": tokens_read(outputs)},
    }
