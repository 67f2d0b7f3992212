"""Models that read text, through the friendly door and the Open Inference Protocol."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from penstock.core.tensors import encode_bytes, object_array
from tests.protocols.doors import Doors, body, header, view
from tests.protocols.texts import (
    CLASSIFIES,
    EMBEDS,
    MAX_TOKENS,
    RERANKS,
    SIZE,
    classify,
    embed,
    rerank,
    text_doors,
    vector_of,
)

LONG = "word " * 50


def mood() -> Doors:
    return Doors(view("mood", CLASSIFIES), answer=classify)


def predict(doors: Doors, **message: Any) -> tuple[int, Any]:
    response = doors.ask("POST", "/predict", json.dumps(message).encode())
    return response.status, json.loads(body(response))


def test_a_text_is_a_row_and_the_answer_has_every_score() -> None:
    status, answer = predict(mood(), inputs=["good day", "grey day today"])
    assert status == 200
    assert answer["outputs"] == [
        {
            "label": "good",
            "confidence": 0.875,
            "scores": {"bad": 0.125, "good": 0.875},
            "tokens": 4,
            "truncated": False,
        },
        {"label": "bad", "confidence": 0.75, "scores": {"bad": 0.75, "good": 0.25}, "tokens": 5, "truncated": False},
    ]


def test_outputs_may_be_chosen() -> None:
    assert predict(mood(), inputs=["good", "grey"], outputs=["label"])[1]["outputs"] == ["good", "bad"]
    chosen = predict(mood(), inputs=["good"], outputs=["scores", "label"])[1]["outputs"]
    assert chosen == [{"scores": {"bad": 0.125, "good": 0.875}, "label": "good"}]


@pytest.mark.parametrize(
    "row", [{"text": "a b", "text_pair": "b c"}, {"text": "a b", "text_pair": "b", "truncate": False}]
)
def test_a_row_may_be_a_pair(row: Any) -> None:
    status, answer = predict(Doors(view("r", RERANKS), answer=rerank), inputs=[row, row])
    assert (status, [found["score"] for found in answer["outputs"]]) == (200, [0.5, 0.5])


def test_embeddings_are_lists_of_numbers() -> None:
    status, answer = predict(Doors(view("e", EMBEDS), answer=embed), inputs=["a", "wörld 🙂"])
    assert status == 200
    for row, text in zip(answer["outputs"], ("a", "wörld 🙂"), strict=True):
        np.testing.assert_array_equal(np.array(row["embedding"], np.float32), vector_of(text))
    response = Doors(view("e", EMBEDS), answer=embed).ask(
        "POST", "/predict", json.dumps({"inputs": ["a"] * 20}).encode(), accept_encoding="gzip, deflate"
    )
    assert header(response, "content-encoding") is None


def test_truncation_is_for_all_rows_or_for_each() -> None:
    assert predict(mood(), inputs=["short", LONG])[0] == 400
    for message in (
        {"inputs": ["short", LONG], "truncate": True},
        {"inputs": [{"text": "short", "truncate": False}, {"text": LONG, "truncate": True}]},
    ):
        status, answer = predict(mood(), **message)
        assert status == 200
        assert [(row["tokens"], row["truncated"]) for row in answer["outputs"]] == [(3, False), (MAX_TOKENS, True)]


def test_truncation_is_told_even_when_other_outputs_are_asked_for() -> None:
    raw = json.dumps({"inputs": ["a", LONG], "truncate": True, "outputs": ["label"]}).encode()
    response = mood().ask("POST", "/predict", raw)
    assert json.loads(body(response))["outputs"] == ["bad", "bad"]
    assert header(response, "x-penstock-truncated") == "1"


def test_truncate_is_unknown_to_other_models_and_said_once() -> None:
    status, answer = predict(Doors(view("iris")), inputs=[[1, 2, 3, 4]], truncate=True)
    assert (status, "unknown field" in answer["error"]["message"]) == (400, True)
    assert predict(mood(), inputs=[{"text": "a", "truncate": True}], truncate=True)[0] == 400
    assert predict(mood(), inputs=["a"], truncate="yes")[0] == 400


@pytest.mark.parametrize(
    "inputs", [[], [None], ["a", None], ["a", 1], [["a"]], "a", [{"pair": "a"}], [{"text_pair": "a"}]]
)
def test_wrong_rows(inputs: Any) -> None:
    assert predict(mood(), inputs=inputs)[0] == 400


def infer(doors: Doors, texts: list[str], binary: bool = False, **rest: Any) -> tuple[int, Any]:
    tensor: dict[str, Any] = {"name": "text", "shape": [len(texts)], "datatype": "BYTES"}
    raw = encode_bytes(object_array([text.encode() for text in texts], (len(texts),)))
    tensor |= {"parameters": {"binary_data_size": len(raw)}} if binary else {"data": texts}
    head = json.dumps({"inputs": [tensor], **rest}).encode()
    headers = {"inference_header_content_length": str(len(head))} if binary else {}
    response = doors.ask("POST", "/v2/models/mood/infer", head + raw if binary else head, **headers)
    return response.status, json.loads(body(response))


@pytest.mark.parametrize("binary", [True, False])
def test_bytes_tensors(binary: bool) -> None:
    status, answer = infer(mood(), ["good day", "שלום\x00🙂"], binary)
    outputs = {output["name"]: output["data"] for output in answer["outputs"]}
    assert status == 200
    assert outputs["label"] == ["good", "bad"]
    assert outputs["scores"] == [0.125, 0.875, 0.75, 0.25]


def test_the_truncate_parameter_of_the_open_inference_protocol() -> None:
    assert infer(mood(), ["a", LONG])[0] == 400
    status, answer = infer(mood(), ["a", LONG], parameters={"truncate": True})
    outputs = {output["name"]: output["data"] for output in answer["outputs"]}
    assert (status, outputs["truncated"]) == (200, [False, True])
    assert infer(mood(), ["a"], parameters={"truncate": "yes"})[0] == 400
    both = {"name": "truncate", "shape": [1], "datatype": "BOOL", "data": [True]}
    text = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["a"]}
    raw = json.dumps({"inputs": [text, both], "parameters": {"truncate": True}}).encode()
    assert mood().ask("POST", "/v2/models/mood/infer", raw).status == 400


def test_wide_outputs_read_back_as_the_same_float32() -> None:
    doors = Doors(view("mood", EMBEDS), answer=embed)
    texts = [str(index) for index in range(600)]
    _, answer = infer(doors, texts)
    output = next(output for output in answer["outputs"] if output["name"] == "embedding")
    assert output["shape"] == [600, SIZE]
    expected = np.stack([vector_of(text) for text in texts]).ravel()
    np.testing.assert_array_equal(np.array(output["data"], np.float32), expected)


def test_metadata_tells_task_precision_and_report() -> None:
    details = {"derived_from": {"source": "minilm", "sha256": "ab"}, "report": {"loss": 0.004}}
    doors = Doors(view("e", EMBEDS, precision="int8", details=details), view("iris"))
    told = {"task": "embedding", "max_tokens": MAX_TOKENS, "precision": "int8", **details}
    parameters = json.loads(body(doors.ask("GET", "/v2/models/e")))["parameters"]
    assert parameters == {"state": "READY", "batched": True, **told}
    assert json.loads(body(doors.ask("GET", "/models/e"))).items() >= told.items()
    assert json.loads(body(doors.ask("GET", "/v2/models/iris")))["parameters"] == {"state": "READY", "batched": True}


def test_the_doors_for_text_share_their_models() -> None:
    found = json.loads(body(text_doors().ask("GET", "/v1/models")))["data"]
    assert {item["id"]: item.get("task") for item in found}["mood"] == "classification"
