"""POST /v1/embeddings and GET /v1/models."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest

from penstock.core.reply import Meta, Reply
from penstock.core.request import Request
from penstock.core.tensors import Tensor
from penstock.protocols.texts import MAX_TEXTS
from tests.protocols.doors import Doors, body, header
from tests.protocols.texts import MAX_TOKENS, SIZE, embed, text_doors, vector_of

PATH = "/v1/embeddings"
LONG = "word " * 50


def ask(doors: Doors, given: Any, model: str = "minilm", **rest: Any) -> tuple[int, Any]:
    raw = given if isinstance(given, bytes) else json.dumps({"model": model, "input": given, **rest}).encode()
    response = doors.ask("POST", PATH, raw)
    return response.status, json.loads(body(response))


def vectors(answer: Any) -> Any:
    return np.array([item["embedding"] for item in answer["data"]], np.float32)


@pytest.mark.parametrize(
    ("given", "rows"),
    [
        ("one text", ["one text"]),
        (["one text"], ["one text"]),
        (["wörld", "שלום עולם", "🙂🙃", "a\x00b"], ["wörld", "שלום עולם", "🙂🙃", "a\x00b"]),
        ([101, 7592, 102], [[101, 7592, 102]]),
        ([[101, 102], [101, 2**31 - 1, 102]], [[101, 102], [101, 2**31 - 1, 102]]),
    ],
)
def test_every_kind_of_input(given: Any, rows: list[Any]) -> None:
    status, answer = ask(text_doors(), given)
    assert (status, answer["object"], answer["model"]) == (200, "list", "minilm")
    assert [(item["object"], item["index"]) for item in answer["data"]] == [
        ("embedding", index) for index in range(len(rows))
    ]
    np.testing.assert_array_equal(vectors(answer), [vector_of(row) for row in rows])
    tokens = sum(len(row) if isinstance(row, list) else len(row.split()) + 2 for row in rows)
    assert answer["usage"] == {"prompt_tokens": tokens, "total_tokens": tokens}
    assert "truncated" not in answer


def test_token_ids_reach_the_model_as_little_endian_int32_beside_empty_texts() -> None:
    doors = text_doors()
    ask(doors, [[1, 258], [3]])
    payload = doors.echo.requests[-1].payload
    assert payload["text"].array.tolist() == [b"", b""]
    assert payload["token_ids"].array.tolist() == [b"\x01\0\0\0\x02\x01\0\0", b"\x03\0\0\0"]


def test_base64_is_little_endian_float32() -> None:
    status, answer = ask(text_doors(), ["a", "b"], encoding_format="base64")
    assert status == 200
    for item, text in zip(answer["data"], ("a", "b"), strict=True):
        found = np.frombuffer(base64.b64decode(item["embedding"], validate=True), "<f4")
        np.testing.assert_array_equal(found, vector_of(text))


@pytest.mark.parametrize("form", ["float", "base64"])
@pytest.mark.parametrize("size", [1, 8, SIZE])
def test_fewer_dimensions_are_the_first_ones_of_length_one_again(form: str, size: int) -> None:
    for model, normalizes in (("minilm", True), ("plain", False)):
        _, answer = ask(text_doors(), "text", model, dimensions=size, encoding_format=form)
        found = answer["data"][0]["embedding"]
        if form == "base64":
            found = np.frombuffer(base64.b64decode(found), "<f4")
        cut = vector_of("text")[:size]
        expected = cut / np.linalg.norm(cut) if normalizes else cut
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_cut_embedding_of_zeros_stays_zeros() -> None:
    zeros = {"embedding": Tensor.of(np.zeros((1, SIZE), np.float32))}
    _, answer = ask(text_doors(answer=lambda t: embed(t) | zeros), "text", dimensions=4)
    assert answer["data"][0]["embedding"] == [0, 0, 0, 0]


def test_nan_is_null_in_json() -> None:
    numbers = np.arange(SIZE, dtype=np.float32)
    numbers[:3] = np.nan, np.inf, -np.inf
    odd = {"embedding": Tensor.of(numbers.reshape(1, -1))}
    _, answer = ask(text_doors(answer=lambda t: embed(t) | odd), "text")
    assert answer["data"][0]["embedding"] == [None, None, None, *range(3, SIZE)]


@pytest.mark.parametrize("setting", [{"truncate": True}, {"truncate_prompt_tokens": -1}])
def test_truncation_is_asked_for_and_told(setting: dict[str, Any]) -> None:
    raw = json.dumps({"model": "minilm", "input": ["short", LONG, LONG], **setting}).encode()
    response = text_doors().ask("POST", PATH, raw)
    answer = json.loads(body(response))
    assert answer["truncated"] == [1, 2]
    assert header(response, "x-penstock-truncated") == "2"
    assert answer["usage"]["total_tokens"] == 3 + 2 * MAX_TOKENS


def test_nothing_is_cut_unasked() -> None:
    for rest in ({}, {"truncate": False}, {"truncate": None}):
        status, answer = ask(text_doors(), ["short", LONG], **rest)
        assert status == 400
        assert {"52", str(MAX_TOKENS)} <= set(answer["error"]["message"].split())


def test_the_models_own_setting_holds_unless_the_request_has_one() -> None:
    doors = text_doors()
    for rest, sent in (({}, None), ({"truncate": False}, [False, False]), ({"truncate": True}, [True, True])):
        ask(doors, ["a", "b"], **rest)
        tensor = doors.echo.requests[-1].payload.get("truncate")
        assert (None if tensor is None else tensor.array.tolist()) == sent


def test_a_timeout_and_a_priority_reach_the_request() -> None:
    doors = text_doors()
    ask(doors, "a", timeout_ms=500, priority=1, user="someone")
    assert (doors.echo.requests[-1].deadline, doors.echo.requests[-1].priority) == (0.5, 0)


def test_a_reply_that_was_kept_says_so() -> None:
    async def kept(request: Request) -> Reply:
        reply = Reply(Meta("minilm", "1"))
        reply.meta.cached_rows = 2
        reply.settle(embed(request.payload))  # type: ignore[arg-type]
        return reply

    raw = json.dumps({"model": "minilm", "input": ["a", "b", "c"]}).encode()
    response = text_doors(handler=kept).ask("POST", PATH, raw)
    assert header(response, "x-penstock-cached") == "2/3"
    assert header(text_doors().ask("POST", PATH, raw), "x-penstock-cached") is None


def test_ten_thousand_texts() -> None:
    texts = [f"text {index}" for index in range(10_000)]
    status, answer = ask(text_doors(), texts)
    assert status == 200
    assert [item["index"] for item in answer["data"]] == list(range(10_000))
    np.testing.assert_array_equal(vectors(answer)[9_999], vector_of("text 9999"))


def test_numbers_read_back_as_the_same_float32() -> None:
    _, answer = ask(text_doors(), [str(index) for index in range(500)])
    np.testing.assert_array_equal(vectors(answer), [vector_of(str(index)) for index in range(500)])


WRONG: dict[str, tuple[Any, str]] = {
    "no texts": ([], "input"),
    "empty text": ("", "input"),
    "an empty text": (["a", ""], "input"),
    "empty ids": ([[1], []], "input"),
    "mixed": (["a", 1], "input"),
    "mixed with lists": (["a", [1]], "input"),
    "mixed ids": ([1, [1]], "input"),
    "nested deeper": ([[[1]]], "input"),
    "texts nested": ([["a"]], "input"),
    "negative": ([1, -1], "input"),
    "too large": ([[1, 2**31]], "input"),
    "far too large": ([10**30], "input"),
    "a bool": ([True], "input"),
    "a fraction": ([1.5], "input"),
    "null": (None, "input"),
    "null inside": (["a", None], "input"),
    "an object": ({"text": "a"}, "input"),
}


@pytest.mark.parametrize(("given", "param"), WRONG.values(), ids=WRONG)
def test_wrong_inputs_are_refused_by_name(given: Any, param: str) -> None:
    status, answer = ask(text_doors(), given)
    error = answer["error"]
    assert (status, error["type"], error["param"], error["code"]) == (400, "invalid_request_error", param, "bad_input")
    assert "input" in error["message"]
    assert len(error["message"]) < 400


@pytest.mark.parametrize(
    ("rest", "param"),
    [
        ({"encoding_format": "hex"}, "encoding_format"),
        ({"dimensions": 0}, "dimensions"),
        ({"dimensions": SIZE + 1}, "dimensions"),
        ({"dimensions": 2.5}, "dimensions"),
        ({"truncate": 1}, "truncate"),
        ({"truncate": False, "truncate_prompt_tokens": -1}, "truncate"),
        ({"truncate_prompt_tokens": 5}, "truncate_prompt_tokens"),
        ({"add_special_tokens": False}, "add_special_tokens"),
        ({"x" * 10_000: 1}, "x" * 64),
        ({"user": 5}, "user"),
    ],
)
def test_settings_that_cannot_be_met_are_refused_by_name(rest: dict[str, Any], param: str) -> None:
    status, answer = ask(text_doors(), "text", **rest)
    assert (status, answer["error"]["param"]) == (400, param)
    assert param in answer["error"]["message"]
    assert len(answer["error"]["message"]) < 400


def test_too_many_texts_are_413() -> None:
    status, answer = ask(text_doors(), ["a"] * (MAX_TEXTS + 1))
    assert (status, answer["error"]["param"]) == (413, "input")
    assert ask(text_doors(), ["a"] * MAX_TEXTS)[0] == 200


def test_token_ids_of_one_long_text_are_one_input() -> None:
    status, answer = ask(text_doors(), [5] * (MAX_TEXTS + 1), truncate=True)
    assert (status, len(answer["data"])) == (200, 1)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b'{"model": "minilm"}',
        b'{"input": "a"}',
        b'{"input": "\\ud800", "model": "minilm"}',
        b'{"input": "\xff", "model": "minilm"}',
        b'{"input": ' + b"[" * 100_000,
        b'{"input": "a", "model": 5}',
    ],
)
def test_bodies_that_are_no_request(raw: bytes) -> None:
    status, answer = ask(text_doors(), raw)
    assert (status, answer["error"]["type"]) == (400, "invalid_request_error")


@pytest.mark.parametrize(
    ("model", "status", "code", "says"),
    [
        ("none", 404, "model_not_found", "none"),
        ("mood", 400, "bad_input", "classification, not embedding; for embedding there is: minilm, plain"),
        ("org/reranker", 400, "bad_input", "reranking"),
        ("iris", 400, "bad_input", "minilm"),
        ("loading", 503, "loading", "loading"),
    ],
)
def test_models_that_do_not_embed(model: str, status: int, code: str, says: str) -> None:
    found, answer = ask(text_doors(), "text", model)
    assert (found, answer["error"]["code"]) == (status, code)
    assert says in answer["error"]["message"]


def test_refusals_of_paths_and_methods_have_openais_shape() -> None:
    for method, path, status in (("GET", PATH, 405), ("GET", "/v1/none", 404), ("POST", "/v1", 404)):
        response = text_doors().ask(method, path)
        error = json.loads(body(response))["error"]
        assert response.status == status
        assert error.keys() == {"message", "type", "param", "code", "request_id"}
        assert error["type"] == "invalid_request_error"
    assert isinstance(json.loads(body(text_doors().ask("GET", "/v2/none")))["error"], str)


def test_what_cannot_help_to_send_again_says_so() -> None:
    broken = text_doors(answer=lambda _: {})
    response = broken.ask("POST", PATH, b'{"model": "minilm", "input": "a"}')
    assert (response.status, header(response, "x-should-retry")) == (500, "false")
    assert json.loads(body(response))["error"]["type"] == "server_error"
    loading = text_doors().ask("POST", PATH, b'{"model": "loading", "input": "a"}')
    assert (header(loading, "x-should-retry"), header(loading, "retry-after")) == (None, "1")


def test_embeddings_are_not_packed_unasked() -> None:
    raw = json.dumps({"model": "minilm", "input": ["a"] * 20}).encode()
    for accept, packed in (("gzip, deflate", None), ("gzip", "gzip")):
        response = text_doors().ask("POST", PATH, raw, accept_encoding=accept)
        assert header(response, "content-encoding") == packed


def test_models_are_listed_as_openai_lists_them() -> None:
    doors = text_doors()
    listed = json.loads(body(doors.ask("GET", "/v1/models")))
    assert listed["object"] == "list"
    assert [item["id"] for item in listed["data"]] == ["minilm", "plain", "org/reranker", "mood", "iris", "loading"]
    for item in listed["data"]:
        assert (item["object"], item["owned_by"], type(item["created"])) == ("model", "penstock", int)
    one = json.loads(body(doors.ask("GET", "/v1/models/org%2Freranker")))
    assert (one["id"], one["task"], one["max_model_len"]) == ("org/reranker", "reranking", MAX_TOKENS)
    assert doors.ask("GET", "/v1/models/none").status == 404
