"""Cohere's clients, version 1 and 2 of its API, against a cross-encoder; and plain HTTP in Jina's way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cohere
import numpy as np
import pytest
import requests

from tests.servers import Server

QUERY = "red running shoes"
DOCUMENTS = ["blue shoes for men", "a red kettle", "the running book in the garden", "tea"]
both = pytest.mark.parametrize("kind", [cohere.Client, cohere.ClientV2])


def rerank(kind: Callable[..., Any], server: Server, **message: Any) -> Any:
    """One answer to one request, by a client of that kind."""
    with kind(api_key="none", base_url=f"http://127.0.0.1:{server.port}", max_retries=0) as client:
        return client.rerank(**{"model": "reranker", "query": QUERY, "documents": DOCUMENTS, **message})


@pytest.fixture(scope="module")
def scores(library: Server) -> Any:
    """The scores of the documents in their own order, by the predict door."""
    rows = [{"text": QUERY, "text_pair": document} for document in DOCUMENTS]
    answer = library.ask("POST", "/models/reranker/predict", {"inputs": rows, "outputs": ["score"]})
    assert answer.status == 200, answer
    return np.array(answer.json()["outputs"])


@both
def test_documents_come_in_the_order_of_their_scores(kind: Any, library: Server, scores: Any) -> None:
    response = rerank(kind, library)
    assert [result.index for result in response.results] == np.argsort(-scores).tolist()
    found = [result.relevance_score for result in response.results]
    np.testing.assert_allclose(found, sorted(scores, reverse=True), atol=1e-4)
    assert len(set(found)) == len(DOCUMENTS)
    assert response.id
    assert response.meta.api_version.version == ("1" if kind is cohere.Client else "2")
    assert response.meta.tokens.input_tokens > 4 * 6


@both
def test_the_first_few(kind: Any, library: Server) -> None:
    response = rerank(kind, library, top_n=2)
    assert len(response.results) == 2


def test_documents_may_be_objects_and_come_back(library: Server) -> None:
    documents: list[Any] = [{"text": text} for text in DOCUMENTS]
    response = rerank(cohere.Client, library, model=None, documents=documents, return_documents=True)
    for result in response.results:
        assert result.document.text == DOCUMENTS[result.index]


@both
def test_errors_are_the_clients_own_classes(kind: Any, library: Server) -> None:
    for message, error in (
        ({"documents": []}, cohere.BadRequestError),
        ({"query": ""}, cohere.BadRequestError),
        ({"model": "minilm"}, cohere.BadRequestError),
        ({"model": "rerankr"}, cohere.NotFoundError),
        ({"documents": ["tea " * 1000]}, cohere.BadRequestError),
    ):
        with pytest.raises(error) as refused:
            rerank(kind, library, **message)
        assert refused.value.body["error"]["message"]


def test_what_is_not_offered_is_refused_by_name(library: Server) -> None:
    with pytest.raises(cohere.BadRequestError, match="max_tokens_per_doc"):
        rerank(cohere.ClientV2, library, max_tokens_per_doc=100)
    with pytest.raises(cohere.BadRequestError, match="rank_fields"):
        rerank(cohere.Client, library, rank_fields=["title"])


@pytest.mark.parametrize("path", ["/v1/rerank", "/rerank"])
def test_plain_http(path: str, library: Server, scores: Any) -> None:
    message = {"model": "reranker", "query": QUERY, "documents": DOCUMENTS, "top_n": 1, "return_documents": True}
    answer = requests.post(f"http://127.0.0.1:{library.port}{path}", json=message, timeout=20)
    assert answer.status_code == 200, answer.text
    [first] = answer.json()["results"]
    assert (first["index"], first["document"]) == (scores.argmax(), {"text": DOCUMENTS[scores.argmax()]})
    assert answer.json()["usage"]["total_tokens"] > 4 * 6
