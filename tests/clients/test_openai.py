"""The openai client, sync and async, against the real MiniLM."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from typing import Any

import numpy as np
import openai
import pytest
from tokenizers import Tokenizer

from tests.clients.conftest import minilm
from tests.servers import Server, says_nothing_internal

SIZE = 384
TEXTS = ["a red bicycle for children", "kids' bike, red", "green tea from Japan", "自転車", "🚲", "אופניים"]


def url(server: Server) -> str:
    return f"http://127.0.0.1:{server.port}/v1"


@pytest.fixture(scope="module")
def client(library: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=url(library), api_key="none", max_retries=0) as client:
        yield client


def vectors(response: Any) -> Any:
    return np.array([item.embedding for item in response.data], np.float32)


def test_similar_texts_are_near(client: openai.OpenAI) -> None:
    response = client.embeddings.create(model="minilm", input=TEXTS)
    found = vectors(response)
    assert found.shape == (len(TEXTS), SIZE)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-4)
    assert found[0] @ found[1] > 0.6 > 0.3 > found[0] @ found[2]
    assert (response.model, response.object) == ("minilm", "list")
    assert [item.index for item in response.data] == list(range(len(TEXTS)))
    assert response.usage.total_tokens == response.usage.prompt_tokens > 6 * 3


def test_floats_and_base64_are_the_same_numbers(client: openai.OpenAI) -> None:
    by_default, floats, raw = (
        client.embeddings.create(model="minilm", input=TEXTS[0], **form)
        for form in ({}, {"encoding_format": "float"}, {"encoding_format": "base64"})
    )
    expected = np.frombuffer(base64.b64decode(raw.data[0].embedding), "<f4")
    np.testing.assert_array_equal(vectors(by_default)[0], expected)
    np.testing.assert_array_equal(vectors(floats)[0], expected)


def test_token_ids_are_read_as_they_are(client: openai.OpenAI) -> None:
    tokenizer = Tokenizer.from_file(str(minilm() / "tokenizer.json"))
    tokenizer.no_padding()
    ids = [tokenizer.encode(text).ids for text in TEXTS]
    of_texts = vectors(client.embeddings.create(model="minilm", input=TEXTS))
    of_ids = vectors(client.embeddings.create(model="minilm", input=ids))
    np.testing.assert_allclose(of_ids, of_texts, atol=1e-4)
    one = client.embeddings.create(model="minilm", input=ids[0])
    np.testing.assert_allclose(vectors(one)[0], of_texts[0], atol=1e-4)
    assert one.usage.prompt_tokens == len(ids[0])


def test_fewer_dimensions(client: openai.OpenAI) -> None:
    whole = vectors(client.embeddings.create(model="minilm", input=TEXTS))[:, :64]
    cut = vectors(client.embeddings.create(model="minilm", input=TEXTS, dimensions=64))
    np.testing.assert_allclose(cut, whole / np.linalg.norm(whole, axis=1, keepdims=True), atol=1e-4)


def test_many_requests_at_once(library: Server, client: openai.OpenAI) -> None:
    async def ask() -> list[Any]:
        async with openai.AsyncOpenAI(base_url=url(library), api_key="none", max_retries=0) as many:
            return await asyncio.gather(*(many.embeddings.create(model="minilm", input=text) for text in TEXTS * 8))

    alone = vectors(client.embeddings.create(model="minilm", input=TEXTS))
    found = [vectors(response)[0] for response in asyncio.run(ask())]
    np.testing.assert_allclose(found, np.tile(alone, (8, 1)), atol=1e-4)


def test_an_alias_answers_under_its_own_name(client: openai.OpenAI) -> None:
    response = client.embeddings.create(model="text-embedding-3-small", input="tea")
    assert response.model == "text-embedding-3-small"
    assert client.models.retrieve("text-embedding-3-small").id == "text-embedding-3-small"


def test_models_are_listed(client: openai.OpenAI) -> None:
    assert {model.id for model in client.models.list()} == {"minilm", "reranker", "text-embedding-3-small"}
    assert client.models.retrieve("minilm").owned_by == "penstock"


def test_truncation_is_asked_for_and_told(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="truncate: true") as refused:
        client.embeddings.create(model="minilm", input=["tea", "tea " * 1000])
    assert refused.value.param == "input"
    assert "1002 tokens" in refused.value.message
    given = {"truncate": True}
    cut = client.embeddings.with_raw_response.create(model="minilm", input=["tea", "tea " * 1000], extra_body=given)
    assert cut.headers["x-penstock-truncated"] == "1"
    assert cut.parse().to_dict()["truncated"] == [1]


@pytest.mark.parametrize(
    ("message", "kind", "param", "code"),
    [
        ({"input": ""}, openai.BadRequestError, "input", "bad_input"),
        ({"input": []}, openai.BadRequestError, "input", "bad_input"),
        ({"input": [1, -1]}, openai.BadRequestError, "input", "bad_input"),
        ({"input": ["a"], "dimensions": SIZE + 1}, openai.BadRequestError, "dimensions", "bad_input"),
        ({"input": "a", "model": "reranker"}, openai.BadRequestError, "model", "bad_input"),
        ({"input": "a", "model": "minilmm"}, openai.NotFoundError, None, "model_not_found"),
        ({"input": "a", "extra_body": {"normalise": True}}, openai.BadRequestError, "normalise", "bad_input"),
        ({"input": ["a"] * 20_000}, openai.APIStatusError, "input", "too_large"),
    ],
)
def test_errors_are_the_clients_own_classes(
    client: openai.OpenAI, message: dict[str, Any], kind: type[openai.APIStatusError], param: str | None, code: str
) -> None:
    with pytest.raises(kind) as refused:
        client.embeddings.create(**{"model": "minilm", **message})
    error = refused.value
    assert (error.type, error.param, error.code) == ("invalid_request_error", param, code)
    assert error.request_id
    says_nothing_internal(error.response.content)


def test_an_unknown_model_is_answered_with_the_nearest_name(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="did you mean 'minilm'"):
        client.embeddings.create(model="minilmm", input="a")


def test_ids_out_of_range_name_the_id_and_the_range(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="30522") as refused:
        client.embeddings.create(model="minilm", input=[[101, 102], [101, 30_522, 102]])
    assert "row 1" in refused.value.message


def test_a_deadline_that_cannot_be_met_is_a_504(client: openai.OpenAI) -> None:
    with pytest.raises(openai.InternalServerError) as late:
        client.embeddings.create(model="minilm", input=["tea " * 200] * 500, extra_body={"timeout_ms": 1})
    assert (late.value.status_code, late.value.code) == (504, "deadline_exceeded")
