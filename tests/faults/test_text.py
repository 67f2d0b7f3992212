"""Wrong and strange texts on a real server: refused, said why, or read like any other; nobody harmed."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penstock.core.tensors import encode_bytes, object_array
from tests import hf_folders
from tests.faults.conftest import MIB, SHORT
from tests.hf_folders import MAX_TOKENS, SIZE, VOCABULARY
from tests.servers import Answer, Server, configured, refused, refused_raw, request, together

EMBED, PREDICT, INFER, RERANK = "/v1/embeddings", "/models/tiny/predict", "/v2/models/tiny/infer", "/v1/rerank"


@pytest.fixture(scope="module")
def reader(minilm_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A tiny embedding model; every test harms it in turn, none may break it."""
    models = {"tiny": hf_folders.embedder(tmp_path_factory.mktemp("reader") / "tiny")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PENSTOCK_CACHE", str(minilm_cache))
        with configured(models, ready_s=110, http={"limits": SHORT}) as server:
            is_well(server)
            workers, memory = server.workers(), server.memory()
            yield server
            assert server.workers() == workers, "a worker was restarted"
            assert server.memory() < memory * 1.05 + 40 * MIB, "memory did not come back"


@pytest.fixture(autouse=True)
def each_ends_well(reader: Server) -> Iterator[None]:
    """Each case ends with a normal answer to a normal request."""
    yield
    is_well(reader)


def is_well(server: Server) -> None:
    [vector] = vectors(embed(server, ["red shoes"]))
    assert abs(np.linalg.norm(vector) - 1) < 1e-3
    assert server.ask("GET", "/livez").status == 200


def embed(server: Server, given: Any, **rest: Any) -> Answer:
    return server.ask("POST", EMBED, {"model": "tiny", "input": given, **rest}, timeout=60)


def vectors(answer: Answer) -> Any:
    assert answer.status == 200, answer.body[:500]
    return np.array([item["embedding"] for item in answer.json()["data"]], np.float32)


def infer(server: Server, raw: list[bytes], name: str = "text", more: tuple[Any, ...] = ()) -> Answer:
    """BYTES as binary data, whatever is in them; `more` inputs go as JSON."""
    data = encode_bytes(object_array(raw, (len(raw),)))
    tensor = {"name": name, "shape": [len(raw)], "datatype": "BYTES", "parameters": {"binary_data_size": len(data)}}
    head = json.dumps({"inputs": [tensor, *more]}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    return server.ask("POST", INFER, head + data, headers, timeout=60)


def every_door(server: Server, texts: list[str]) -> list[Answer]:
    """The same texts at all doors."""
    predict = server.ask("POST", PREDICT, {"inputs": texts}, timeout=60)
    return [embed(server, texts), predict, infer(server, [text.encode() for text in texts])]


@pytest.mark.parametrize("given", [[], "", [""], ["a", ""], [[]], [[1], []]])
def test_nothing_to_read(reader: Server, given: Any) -> None:
    refused(embed(reader, given), 400)


def test_no_rows_and_an_empty_row(reader: Server) -> None:
    refused(reader.ask("POST", PREDICT, {"inputs": []}), 400)
    answer = reader.ask("POST", PREDICT, {"inputs": [""]})
    assert answer.json()["outputs"][0]["tokens"] == 2


def test_ten_thousand_texts(reader: Server) -> None:
    texts = [f"shoes {index % 7}" for index in range(10_000)]
    expected = vectors(embed(reader, texts[:7]))
    embeddings, predicted, inferred = every_door(reader, texts)
    np.testing.assert_allclose(vectors(embeddings), np.tile(expected, (1429, 1))[:10_000], atol=1e-3)
    assert predicted.status == 200
    assert len(predicted.json()["outputs"]) == 10_000
    assert inferred.json()["outputs"][0]["shape"] == [10_000, SIZE]


def test_more_texts_than_one_request_may_have(reader: Server) -> None:
    refused(embed(reader, ["a"] * 16_385), 413)


def test_a_megabyte_of_text_is_refused_with_both_numbers_or_cut(reader: Server) -> None:
    text = "red shoes " * 100_000
    for answer in every_door(reader, [text]):
        refused(answer, 400)
        assert "200002 tokens" in answer.body.decode()
        assert f"at most {MAX_TOKENS}" in answer.body.decode()
    answer = embed(reader, ["tea", text], truncate=True)
    assert (answer.json()["truncated"], answer.headers["x-penstock-truncated"]) == ([1], "1")
    answer = reader.ask("POST", PREDICT, {"inputs": [text], "truncate": True})
    assert [(row["tokens"], row["truncated"]) for row in answer.json()["outputs"]] == [(MAX_TOKENS, True)]


def test_more_text_than_is_looked_at(reader: Server) -> None:
    for answer in every_door(reader, ["a" * (2 * MIB)]):
        refused(answer, 400)


@pytest.mark.parametrize("path", [EMBED, PREDICT, INFER])
@pytest.mark.parametrize("piece", [b'"\\ud800"', b'"\\udc00\\ud800"', b'"\xc3\x28"', b'"a\x00b"', b'"\\u12"', b"'a'"])
def test_what_is_no_text_in_json(reader: Server, path: str, piece: bytes) -> None:
    tensor = b'{"name":"text","shape":[1],"datatype":"BYTES","data":[%b]}' % piece
    bodies = {EMBED: b'{"model":"tiny","input":[%b]}', PREDICT: b'{"inputs":[%b]}', INFER: b'{"inputs":[%b]}'}
    refused(reader.ask("POST", path, bodies[path] % (tensor if path == INFER else piece)), 400)


@pytest.mark.parametrize("raw", [b"\xff", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80", b"ok\xc3"])
def test_what_is_no_text_in_binary(reader: Server, raw: bytes) -> None:
    answer = infer(reader, [b"fine", raw])
    refused(answer, 400)
    assert "row 1" in answer.body.decode()


STRANGE = {
    "NUL": "red\x00shoes",
    "controls": "red\x01\x1b[31m\x7fshoes",
    "right to left": "\u202eנעליים אדומות\u202c",
    "emoji": "👩‍👩‍👧‍👦🏳️‍🌈",
    "combining": "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢",
    "beyond the plane": "𝕣𝕖𝕕 𠜎",
    "spaces": " \u00a0\u2003\u200b\ufeff\n\t",
    "special tokens": "[CLS] [SEP] [MASK] [PAD]",
    "noncharacters": "\uffff\ufdd0",
    "template": "{{7*7}} ${jndi:ldap://x} %n%s",
}


@pytest.mark.parametrize("text", STRANGE.values(), ids=STRANGE)
def test_strange_texts_are_read_like_any_other(reader: Server, text: str) -> None:
    """The same at every door, alone and beside others."""
    alone = vectors(embed(reader, text))[0]
    among = vectors(embed(reader, ["red shoes", text, "tea"]))[1]
    _, predicted, inferred = every_door(reader, [text])
    others = [among, predicted.json()["outputs"][0]["embedding"], inferred.json()["outputs"][0]["data"]]
    assert np.isfinite(alone).all()
    for other in others:
        np.testing.assert_allclose(other, alone, atol=1e-3)


@pytest.mark.parametrize(
    "ids", [[len(VOCABULARY)], [0, 2**31 - 1], [-1], [2**31], [10**30], [True], [1.5], [None], [[[1]]], [1, "a"]]
)
def test_ids_that_the_model_does_not_know(reader: Server, ids: Any) -> None:
    refused(embed(reader, ids), 400)
    refused(embed(reader, [[2, 3], ids]), 400)


@pytest.mark.parametrize(
    "raw", [b"\x01", b"\x01\0\0\0\0", b"\xff\xff\xff\xff", b"\0\0\0\x80", b"\1\0\0\0" * MAX_TOKENS * 2]
)
def test_raw_ids_that_are_none(reader: Server, raw: bytes) -> None:
    text = {"name": "text", "shape": [1], "datatype": "BYTES", "data": [""]}
    refused(infer(reader, [raw], "token_ids", (text,)), 400)


def test_ids_beside_a_text(reader: Server) -> None:
    text = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["tea"]}
    refused(infer(reader, [b"\2\0\0\0"], "token_ids", (text,)), 400)


def test_one_bad_text_refuses_only_its_own_request(reader: Server) -> None:
    """Requests that come together share a batch; only the guilty one is refused."""
    good = [lambda text=f"shoes {n}": embed(reader, text) for n in range(20)]
    bad = [lambda: embed(reader, "tea " * 500), lambda: embed(reader, [10_000])] * 3
    answers = together([*good, *bad])
    assert [answer.status for answer in answers] == [200] * 20 + [400] * 6


WHOLE = {
    "empty": b"",
    "list": b"[]",
    "null": b"null",
    "open": b'{"model": "tiny", "input": ["a"',
    "trailing": b'{"model": "tiny", "input": "a"} x',
    "BOM": b'\xef\xbb\xbf{"model": "tiny", "input": "a"}',
    "UTF-16": '{"model": "tiny", "input": "a"}'.encode("utf-16"),
    "deep": b'{"model": "tiny", "input": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "keys": b'{"model": "tiny", "input": "a", "user": "b", "x": ' + b'{"k":1},' * 10 + b"}",
    "binary": bytes(range(256)),
}


@pytest.mark.parametrize("path", [EMBED, RERANK])
@pytest.mark.parametrize("body", WHOLE.values(), ids=WHOLE)
def test_a_body_that_is_no_message(reader: Server, path: str, body: bytes) -> None:
    answer = reader.ask("POST", path, body)
    refused(answer, 400)
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_a_million_keys(reader: Server) -> None:
    many = b'{"model": "tiny", "input": "a", ' + b",".join(b'"k%d":1' % i for i in range(700_000)) + b"}"
    refused(reader.ask("POST", EMBED, many), 413)


def test_what_could_not_even_be_read_is_told_in_the_paths_own_shape(reader: Server) -> None:
    """Refusals of the HTTP server itself, before a door is found."""
    bomb = gzip.compress(b" " * (17 * MIB))
    cases = [
        (request("POST", EMBED, b"", "Content-Length: 99999999"), 413),
        (request("POST", EMBED, b"{}", "Content-Length: 3"), 400),
        (request("POST", EMBED, bomb, "Content-Encoding: gzip", "Connection: close"), 413),
        (request("POST", EMBED, b"{}", "Content-Encoding: zstd", "Connection: close"), 415),
        (request("DELETE", EMBED, b"", "Connection: close"), 405),
        (request("GET", "/v1/nothing", b"", "Connection: close"), 404),
        (request("GET", "/v1/models/none", b"", "Connection: close"), 404),
    ]
    for raw, status in cases:
        response = reader.raw(raw)
        refused_raw(response, status)
        error = json.loads(response.partition(b"\r\n\r\n")[2])["error"]
        assert (error["type"], type(error["message"])) == ("invalid_request_error", str)


def test_documents_for_a_model_that_does_not_rerank(reader: Server) -> None:
    answer = reader.ask("POST", RERANK, {"model": "tiny", "query": "a", "documents": ["b"]})
    refused(answer, 400)
    assert "embedding" in answer.body.decode()
