"""POST /v1/rerank, and where other clients look for it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from penstock.core.tensors import Tensor
from penstock.protocols.texts import MAX_TEXTS
from tests.protocols.doors import Doors, body, header, view
from tests.protocols.texts import EMBEDS, MAX_TOKENS, RERANKS, answer, read, rerank, text_doors

QUERY = "red running shoes"
DOCUMENTS = ["blue shoes", "a red kettle", "running in red shoes", "tea"]
LONG = "red " * 50


def ask(doors: Doors, path: str = "/v1/rerank", **message: Any) -> tuple[int, Any]:
    raw = json.dumps({"model": "org/reranker", "query": QUERY, "documents": DOCUMENTS, **message}).encode()
    response = doors.ask("POST", path, raw)
    return response.status, json.loads(body(response))


@pytest.mark.parametrize("path", ["/v1/rerank", "/rerank", "/v2/rerank", "/v1/rerank/"])
def test_documents_come_in_the_order_of_their_relevance(path: str) -> None:
    status, found = ask(text_doors(), path)
    assert (status, found["model"]) == (200, "org/reranker")
    assert [result["index"] for result in found["results"]] == [2, 0, 1, 3]
    scores = [result["relevance_score"] for result in found["results"]]
    np.testing.assert_allclose(scores, [1, 1 / 3, 1 / 3, 0], rtol=1e-6)
    tokens = sum(len(f"{QUERY} {document}".split()) + 2 for document in DOCUMENTS)
    assert found["usage"] == {"total_tokens": tokens}
    version = "2" if path.startswith("/v2") else "1"
    assert found["meta"]["api_version"] == {"version": version}
    assert found["id"]


def test_the_first_few_and_their_documents() -> None:
    documents = [*DOCUMENTS, {"text": "red shoes for running", "sku": 2**70}]
    _, found = ask(text_doors(), top_n=2, documents=documents, return_documents=True)
    assert [result["document"] for result in found["results"]] == [{"text": DOCUMENTS[2]}, documents[4]]
    _, found = ask(text_doors(), top_n=100)
    assert len(found["results"]) == 4
    assert "document" not in found["results"][0]


def test_a_query_that_is_long_with_so_many_documents() -> None:
    status, found = ask(text_doors(), query="q" * 200_000, documents=["d"] * 8000)
    assert (status, found["error"]["param"]) == (413, "query")
    assert "200000 bytes, at most 8388 with 8000 documents" in found["error"]["message"]
    assert ask(text_doors(), query="q " * 4000, documents=["d"] * 8, truncate=True)[0] == 200


def test_scores_read_back_as_the_same_float32() -> None:
    scores = np.random.default_rng(0).random(4, np.float32)
    doors = text_doors(answer=lambda t: {"score": Tensor.of(scores), **read(t)})
    _, found = ask(doors)
    assert [np.float32(r["relevance_score"]) for r in found["results"]] == sorted(scores, reverse=True)


def test_the_only_reranker_needs_no_name() -> None:
    assert ask(text_doors(), model=None)[0] == 200
    status, found = ask(Doors(view("a", RERANKS), view("b", RERANKS), answer=answer), model=None)
    assert (status, found["error"]["param"]) == (400, "model")
    assert "a, b" in found["error"]["message"]
    status, found = ask(Doors(view("a", EMBEDS), answer=answer), model=None)
    assert status == 400
    assert "no model for reranking" in found["error"]["message"]


def test_truncation_is_asked_for_and_told() -> None:
    raw = {"model": "org/reranker", "query": QUERY, "documents": ["a", LONG]}
    assert text_doors().ask("POST", "/v1/rerank", json.dumps(raw).encode()).status == 400
    response = text_doors().ask("POST", "/v1/rerank", json.dumps(raw | {"truncate": True}).encode())
    found = json.loads(body(response))
    assert (found["truncated"], header(response, "x-penstock-truncated")) == ([1], "1")
    assert found["usage"]["total_tokens"] == 6 + MAX_TOKENS


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ({"documents": []}, "documents"),
        ({"documents": "text"}, "documents"),
        ({"documents": [1]}, "documents"),
        ({"documents": [{"title": "a"}]}, "documents"),
        ({"documents": [{"text": 5}]}, "documents"),
        ({"documents": None}, "documents"),
        ({"query": ""}, "query"),
        ({"query": None}, "query"),
        ({"top_n": 0}, "top_n"),
        ({"top_n": -1}, "top_n"),
        ({"rank_fields": ["title"]}, "rank_fields"),
        ({"max_tokens_per_doc": 100}, "max_tokens_per_doc"),
        ({"max_chunks_per_doc": 1}, "max_chunks_per_doc"),
        ({"relevant_spans": {}}, "relevant_spans"),
        ({"return_text": True}, "return_text"),
        ({"model": "mood"}, "model"),
    ],
)
def test_wrong_messages_are_refused_by_name(message: dict[str, Any], param: str) -> None:
    status, found = ask(text_doors(), **message)
    assert (status, found["error"]["type"], found["error"]["param"]) == (400, "invalid_request_error", param)
    assert param in found["error"]["message"]


@pytest.mark.parametrize("path", ["/v1/rerank", "/rerank", "/v2/rerank"])
def test_refusals_have_one_shape_on_every_path(path: str) -> None:
    status, found = ask(text_doors(), path, model="none")
    assert (status, found["error"]["code"]) == (404, "model_not_found")
    response = text_doors().ask("GET", path)
    assert (response.status, json.loads(body(response))["error"]["code"]) == (405, "method_not_allowed")


def test_too_many_documents_are_413() -> None:
    assert ask(text_doors(), documents=["a"] * (MAX_TEXTS + 1))[0] == 413


def test_what_is_not_offered_may_be_null() -> None:
    assert ask(text_doors(), rank_fields=None, max_tokens_per_doc=None, top_n=None, return_documents=None)[0] == 200


def test_the_query_and_each_document_are_one_row() -> None:
    doors = text_doors(answer=rerank)
    ask(doors, documents=["a", {"text": "b"}])
    payload = doors.echo.requests[-1].payload
    assert payload["text"].array.tolist() == [QUERY.encode()] * 2
    assert payload["text_pair"].array.tolist() == [b"a", b"b"]
