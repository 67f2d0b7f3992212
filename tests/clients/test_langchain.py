"""langchain_openai.OpenAIEmbeddings: with texts as they are, and cut to its own chunks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import numpy as np
import pytest
from langchain_openai import OpenAIEmbeddings

from tests.clients.conftest import minilm
from tests.servers import Server

TEXTS = ["a red bicycle for children", "green tea from Japan", "a lamp"]


@contextmanager
def embeddings(server: Server, **rest: Any) -> Iterator[OpenAIEmbeddings]:
    """With an HTTP client of its own; langchain's stays open for as long as the process lives."""
    url = f"http://127.0.0.1:{server.port}/v1"
    with httpx2.Client() as http:
        yield OpenAIEmbeddings(model="minilm", base_url=url, api_key="none", max_retries=0, http_client=http, **rest)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def expected(library: Server) -> Any:
    answer = library.ask("POST", "/v1/embeddings", {"model": "minilm", "input": TEXTS}).json()
    return np.array([item["embedding"] for item in answer["data"]], np.float32)


def test_texts_as_they_are(library: Server, expected: Any) -> None:
    with embeddings(library, check_embedding_ctx_length=False) as langchain:
        np.testing.assert_allclose(langchain.embed_documents(TEXTS), expected, atol=1e-4)
        np.testing.assert_allclose(langchain.embed_query(TEXTS[0]), expected[0], atol=1e-4)


def test_texts_in_chunks_of_the_models_own_tokenizer(library: Server, expected: Any) -> None:
    """What its tokenizer gives back is lower case, as the model reads it anyway."""
    chunks: dict[str, Any] = {"tiktoken_enabled": False, "embedding_ctx_length": 200}
    with embeddings(library, tiktoken_model_name=str(minilm()), **chunks) as langchain:
        np.testing.assert_allclose(langchain.embed_documents(TEXTS), expected, atol=1e-4)


def test_asynchronously_and_with_fewer_dimensions(library: Server, expected: Any) -> None:
    async def ask() -> Any:
        async with httpx2.AsyncClient() as http:
            plain: dict[str, Any] = {"check_embedding_ctx_length": False, "dimensions": 32}
            with embeddings(library, http_async_client=http, **plain) as langchain:
                return await langchain.aembed_documents(TEXTS)

    cut = expected[:, :32] / np.linalg.norm(expected[:, :32], axis=1, keepdims=True)
    np.testing.assert_allclose(asyncio.run(ask()), cut, atol=1e-4)
