"""The friendly door: rows in, rows out."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from penstock.core.signature import Signature, TensorSpec
from penstock.core.tensors import Tensor
from tests.protocols.doors import IRIS, Doors, body, view

COLUMNS = Signature((TensorSpec("age", "INT64", (-1,)), TensorSpec("job", "BYTES", (-1,), optional=True)))
TEXT = Signature((TensorSpec("text", "BYTES", (-1,)),))
OIP = {"inputs": [{"name": "x", "shape": [2], "datatype": "FP32", "data": [1, 2]}]}
ROW = {"inputs": [[1, 2, 3, 4]]}


def doors_for(signature: Signature) -> Doors:
    return Doors(view("m", signature))


def ask(doors: Doors, message: Any, path: str = "/models/m/predict") -> tuple[int, Any]:
    raw = message if isinstance(message, bytes) else json.dumps(message).encode()
    response = doors.ask("POST", path, raw)
    return response.status, json.loads(body(response))


@pytest.mark.parametrize(
    ("signature", "rows"),
    [
        (IRIS, [[1.5, 2, 3, 4], [5, 6, 7, 8]]),
        (TEXT, ["hello", "wörld"]),
        (COLUMNS, [{"age": 39, "job": "clerk"}, {"age": 20, "job": "smith"}]),
    ],
)
def test_a_row_is_what_the_signature_says(signature: Signature, rows: list[Any]) -> None:
    status, answer = ask(doors_for(signature), {"inputs": rows})
    assert (status, answer) == (200, {"model": "m", "version": "1", "outputs": rows})


def test_rows_of_several_inputs_may_be_lists_and_leave_out_optional_columns() -> None:
    doors = doors_for(COLUMNS)
    assert ask(doors, {"inputs": [[39, "clerk"]]})[1]["outputs"] == [{"age": 39, "job": "clerk"}]
    assert ask(doors, {"inputs": [{"age": 39}]})[1]["outputs"] == [39]


def test_outputs_may_be_chosen() -> None:
    assert ask(doors_for(COLUMNS), {"inputs": [[39, "clerk"]], "outputs": ["job"]})[1]["outputs"] == ["clerk"]


@pytest.mark.parametrize("width", [1, 3, 40])
def test_numbers_have_no_more_digits_than_they_need(width: int) -> None:
    signature = Signature((TensorSpec("x", "FP32", (-1,)),), (TensorSpec("y", "FP32", (-1, width)),))
    doors = Doors(view("m", signature), answer=lambda _: {"y": Tensor.of(np.full((2, width), 0.1, np.float32))})
    for path, message in (("/models/m/predict", {"inputs": [1, 2]}), ("/v2/models/m/infer", OIP)):
        response = doors.ask("POST", path, json.dumps(message).encode())
        assert response.status == 200
        assert b"0.1" in body(response)
        assert b"0.10" not in body(response)


def test_a_label_has_no_more_digits_than_it_needs() -> None:
    scores = TensorSpec("p", "FP32", (-1, 2), labels=("a", "b"), form="object")
    signature = Signature((TensorSpec("x", "FP32", (-1,)),), (scores,))
    doors = Doors(view("m", signature), answer=lambda _: {"p": Tensor.of(np.array([[0.1, 0.9]], np.float32))})
    assert ask(doors, {"inputs": [1]})[1]["outputs"] == [{"a": 0.1, "b": 0.9}]


def test_nan_is_null() -> None:
    signature = Signature((TensorSpec("x", "FP32", (-1,)),), (TensorSpec("y", "FP32", (-1,)),))
    doors = Doors(view("m", signature), answer=lambda _: {"y": Tensor.of(np.array([np.nan, 1], np.float32))})
    assert ask(doors, {"inputs": [1, 2]})[1]["outputs"] == [None, 1.0]


def test_predict_without_a_name_needs_a_single_model() -> None:
    assert ask(Doors(view("m", IRIS)), ROW, "/predict")[0] == 200
    status, answer = ask(Doors(view("m", IRIS), view("n", IRIS)), ROW, "/predict")
    assert status == 404
    assert "/models/m/predict" in answer["error"]["message"]


def test_versions_may_be_named() -> None:
    doors = doors_for(IRIS)
    assert ask(doors, ROW, "/models/m/versions/1/predict")[0] == 200
    assert ask(doors, ROW, "/models/m/versions/2/predict")[0] == 404


def test_a_model_that_has_not_loaded_says_so() -> None:
    response = Doors(view("m", None)).ask("POST", "/models/m/predict", json.dumps(ROW).encode())
    assert response.status == 503
    assert (b"retry-after", b"1") in (response.headers or [])


def test_a_timeout_and_a_priority_reach_the_request() -> None:
    doors = doors_for(IRIS)
    ask(doors, ROW | {"timeout_ms": 500, "priority": 1})
    assert (doors.echo.requests[-1].deadline, doors.echo.requests[-1].priority) == (0.5, 0)


DEEP = b'{"inputs": ' + b"[" * 200 + b"]" * 200 + b"}"
DEEPER = b'{"inputs": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
WRONG_JSON = {
    "empty": b"",
    "trailing": b'{"inputs": [[1,2,3,4]]} x',
    "nan": b'{"inputs": [[NaN,2,3,4]]}',
    "infinity": b'{"inputs": [[Infinity,2,3,4]]}',
    "huge float": b'{"inputs": [[1e400,2,3,4]]}',
    "surrogate": b'{"inputs": ["\\ud800"]}',
    "utf-8": b'{"inputs": ["\xff"]}',
    "bom": b'\xef\xbb\xbf{"inputs": [[1,2,3,4]]}',
    "utf-16": '{"inputs": [[1,2,3,4]]}'.encode("utf-16"),
    "deep": DEEP,
    "deeper": DEEPER,
    "5000 digits": b'{"inputs": [[' + b"9" * 5000 + b",2,3,4]]}",
    "over 2**64": b'{"inputs": [[18446744073709551616,2,3,4]]}',
    "list root": b"[1]",
    "text root": b'"inputs"',
    "null root": b"null",
    "unknown key": b'{"inputs": [[1,2,3,4]], "other": 1}',
    "no rows": b'{"inputs": []}',
    "object rows": b'{"inputs": {}}',
    "no inputs": b"{}",
    "ragged": b'{"inputs": [[1,2,3,4],[1]]}',
    "too wide": b'{"inputs": [[1,2,3,4,5]]}',
    "bool": b'{"inputs": [[true,2,3,4]]}',
    "zero timeout": b'{"inputs": [[1,2,3,4]], "timeout_ms": 0}',
    "priority": b'{"inputs": [[1,2,3,4]], "priority": 10}',
}


@pytest.mark.parametrize("signature", [IRIS, TEXT, COLUMNS], ids=["numbers", "text", "columns"])
@pytest.mark.parametrize("raw", WRONG_JSON.values(), ids=WRONG_JSON)
def test_wrong_messages_are_refused_with_400(signature: Signature, raw: bytes) -> None:
    doors = doors_for(signature)
    status, answer = ask(doors, raw)
    if raw == WRONG_JSON["over 2**64"] and signature is IRIS:
        assert status == 200  # a float column takes any number that a float holds
        return
    assert (status, answer["error"]["code"]) == (400, "bad_input")


@pytest.mark.parametrize(
    "row", [{"age": 1.5}, {"age": True}, {"age": 2**63}, {"age": 1, "job": 2}, {"job": "x"}, {"age": 1, "x": 2}, [1], 3]
)
def test_wrong_columns_are_refused_with_400(row: Any) -> None:
    status, answer = ask(doors_for(COLUMNS), {"inputs": [row]})
    assert (status, answer["error"]["code"]) == (400, "bad_input")


def test_of_duplicate_keys_the_last_counts() -> None:
    status, answer = ask(doors_for(IRIS), b'{"inputs": [[0,0,0,0]], "inputs": [[1,2,3,4]]}')
    assert (status, answer["outputs"]) == (200, [[1, 2, 3, 4]])


def test_a_million_keys_are_too_many() -> None:
    raw = b'{"inputs": [{' + b",".join(b'"k%d":1' % index for index in range(1_000_000)) + b"}]}"
    assert ask(doors_for(COLUMNS), raw)[0] == 413
