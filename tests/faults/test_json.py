"""Wrong JSON and wrong tensors on a real server: refused, said why, and nobody harmed."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest

from tests.faults.conftest import MIB
from tests.servers import Server, refused
from tests.servers import request as raw_request

PREDICT, INFER = "/models/moody/predict", "/v2/models/moody/infer"


def both_doors(value: bytes) -> list[tuple[str, bytes]]:
    """The same piece of JSON as the only value, at both doors."""
    tensor = b'{"inputs":[{"name":"x","shape":[1],"datatype":"FP64","data":[%b]}]}' % value
    return [(PREDICT, b'{"inputs":[%b]}' % value), (INFER, tensor)]


VALUES = {
    "nothing": b"",
    "NaN": b"NaN",
    "Infinity": b"-Infinity",
    "1e400": b"1e400",
    "lone surrogate": b'"\\ud800"',
    "invalid UTF-8": b'"\xc3\x28"',
    "text": b'"1"',
    "true": b"true",
    "5000 digits": b"9" * 5000,
    "hexadecimal": b"0x10",
    "leading zero": b"01",
    "comment": b"1 /* one */",
    "trailing comma": b"1,",
    "object": b'{"a":1}',
    "depth 101": b"[" * 101 + b"]" * 101,
    "depth 100000": b"[" * 100_000 + b"]" * 100_000,
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_a_value_that_is_no_number(hasty: Server, value: bytes) -> None:
    for path, body in both_doors(value):
        refused(hasty.ask("POST", path, body), 400)


WHOLE = {
    "empty": b"",
    "space": b"  ",
    "trailing bytes": b'{"inputs":[1]}x',
    "two documents": b'{"inputs":[1]}{"inputs":[1]}',
    "BOM": b'\xef\xbb\xbf{"inputs":[1]}',
    "UTF-16": '{"inputs":[1]}'.encode("utf-16"),
    "UTF-32": '{"inputs":[1]}'.encode("utf-32"),
    "list": b"[1]",
    "number": b"1",
    "text": b'"x"',
    "null": b"null",
    "open": b'{"inputs":[1',
    "deep object": b'{"a":' * 1000 + b"1" + b"}" * 1000,
    "deep parameters": b'{"inputs":[],"parameters":{"a":' + b"[" * 1000 + b"]" * 1000 + b"}}",
    "wrong kind": b'{"inputs":"x"}',
    "binary": bytes(range(256)),
}


@pytest.mark.parametrize("body", WHOLE.values(), ids=WHOLE)
@pytest.mark.parametrize("path", [PREDICT, INFER])
def test_a_body_that_is_no_message(hasty: Server, path: str, body: bytes) -> None:
    refused(hasty.ask("POST", path, body), 400)


def test_integers_over_64_bits_stay_what_they_are_or_are_refused(hasty: Server) -> None:
    answer = hasty.ask("POST", PREDICT, b'{"inputs":[18446744073709551616]}')
    assert answer.status == 400 or answer.json()["outputs"] == [2 * 2.0**64]


def test_a_million_keys(hasty: Server) -> None:
    keys = b",".join(b'"k%d":1' % index for index in range(1_000_000))
    refused(hasty.ask("POST", PREDICT, b'{"inputs":[{%b}]}' % keys), 413)
    refused(hasty.ask("POST", INFER, b'{"inputs":[],"parameters":{%b}}' % keys), 413)


def test_json_that_would_grow_past_the_limit(hasty: Server) -> None:
    values = b"[" + b"1," * (8 * MIB - 100) + b"1]"
    answer = hasty.ask("POST", PREDICT, b'{"inputs":%b}' % values, timeout=60)
    refused(answer, 413)


def test_of_duplicate_keys_the_last_counts(hasty: Server) -> None:
    answer = hasty.ask("POST", PREDICT, b'{"inputs":[1],"inputs":[2]}')
    assert (answer.status, answer.json()["outputs"]) == (200, [4.0])


def test_a_content_type_that_is_not_json_is_read_as_json_or_refused(hasty: Server) -> None:
    for kind in ("application/python-pickle", "text/html", "multipart/form-data; boundary=x", "application/x-yaml"):
        answer = hasty.ask("POST", PREDICT, b'{"inputs":[1]}', {"Content-Type": kind})
        assert answer.status in (200, 415)
        refused(hasty.ask("POST", PREDICT, b"\x80\x04\x95cos\nsystem\n.", {"Content-Type": kind}), 400, 415)


def tensor(**changes: Any) -> dict[str, Any]:
    return {"name": "x", "shape": [2], "datatype": "FP64", "data": [1, 2], **changes}


TENSORS = {
    "too few values": [tensor(shape=[3])],
    "overflowing shape": [tensor(shape=[2**4, 2**60 + 2])],
    "wrapping shape": [tensor(shape=[2**32, 2**32, 2])],
    "negative dimension": [tensor(shape=[-2])],
    "two negative dimensions": [tensor(shape=[-1, -2])],
    "large dimension": [tensor(shape=[2**70])],
    "wrong rank": [tensor(shape=[1, 2])],
    "unknown datatype": [tensor(datatype="FP8")],
    "other datatype": [tensor(datatype="FP32")],
    "fraction in an integer": [tensor(datatype="INT32", data=[1.5, 1])],
    "300 in a byte": [tensor(datatype="UINT8", data=[300, 1])],
    "bool in a float": [tensor(data=[True, 1])],
    "missing": [],
    "unknown": [tensor(name="y")],
    "duplicate": [tensor(), tensor()],
    "unknown beside": [tensor(), tensor(name="y")],
    "ragged": [tensor(data=[[1, 2], [3]])],
    "too deep": [tensor(data=[[[1]], [[2]]])],
    "no data": [{"name": "x", "shape": [2], "datatype": "FP64"}],
    "long name": [tensor(name="n" * 5000)],
    "NUL in the name": [tensor(name="x\0")],
    "path as a name": [tensor(name="../../x")],
}


@pytest.mark.parametrize("inputs", TENSORS.values(), ids=TENSORS)
def test_wrong_tensors(hasty: Server, inputs: list[Any]) -> None:
    answer = hasty.ask("POST", INFER, {"inputs": inputs})
    refused(answer, 400)
    assert len(answer.body) < 2000


def binary(hasty: Server, size: Any, raw: bytes, datatype: str = "FP64", path: str = INFER) -> Any:
    spec = {"name": "x", "shape": [1], "datatype": datatype, "parameters": {"binary_data_size": size}}
    head = json.dumps({"inputs": [spec]}).encode()
    return hasty.ask("POST", path, head + raw, {"Inference-Header-Content-Length": str(len(head))})


@pytest.mark.parametrize(
    ("size", "raw"), [(8, b"1234567"), (8, b"123456789"), (7, b"1234567"), (-8, b"12345678"), (2**63, b"")]
)
def test_binary_sizes_that_do_not_match(hasty: Server, size: int, raw: bytes) -> None:
    refused(binary(hasty, size, raw), 400)


def test_bytes_where_numbers_belong(hasty: Server) -> None:
    refused(binary(hasty, 8, struct.pack("<I4s", 4, b"text"), "BYTES"), 400)
    refused(binary(hasty, 8, struct.pack("<I4s", 2**31, b"text"), "BYTES"), 400)


def test_more_tensors_and_outputs_than_anyone_needs(hasty: Server) -> None:
    refused(hasty.ask("POST", INFER, {"inputs": [tensor(name=f"x{index}") for index in range(5000)]}), 400, 413)
    wanted = [{"name": f"o{index}"} for index in range(5000)]
    refused(hasty.ask("POST", INFER, {"inputs": [tensor()], "outputs": wanted}), 400, 413)


def test_more_rows_than_the_queue_could_ever_hold(hasty: Server) -> None:
    refused(hasty.ask("POST", PREDICT, {"inputs": [1.0] * 500_000}), 413)


def test_many_rows_come_back_in_order(hasty: Server) -> None:
    values = [float(value) for value in range(1000, 6000)]
    assert hasty.ask("POST", PREDICT, {"inputs": values}).json()["outputs"] == [2 * value for value in values]


def test_zero_rows(hasty: Server) -> None:
    answer = hasty.ask("POST", INFER, {"inputs": [tensor(shape=[0], data=[])]})
    assert answer.status in (200, 400)
    if answer.status == 200:
        assert answer.json()["outputs"][0]["shape"] == [0]


def test_null_is_nan_both_ways(hasty: Server) -> None:
    answer = hasty.ask("POST", PREDICT, b'{"inputs": [null, 2]}')
    assert (answer.status, answer.json()["outputs"]) == (200, [None, 4.0])


def test_nan_in_an_answer_is_null(hasty: Server) -> None:
    answer = hasty.ask("POST", PREDICT, {"inputs": [444]})
    assert (answer.status, json.loads(answer.body, parse_constant=pytest.fail)["outputs"]) == (200, [None])


@pytest.mark.parametrize(
    "path",
    [
        "/models/nothing/predict",
        "/v2/models/nothing/infer",
        "/v2/models/moody/versions/9/infer",
        "/v2/models/moody%00/infer",
    ],
)
def test_unknown_models_and_versions(hasty: Server, path: str) -> None:
    body = {"inputs": [tensor()]} if path.endswith("infer") else {"inputs": [1]}
    refused(hasty.ask("POST", path, body), 404)


def test_unknown_outputs(hasty: Server) -> None:
    refused(hasty.ask("POST", PREDICT, {"inputs": [1], "outputs": ["nothing"]}), 400)
    refused(hasty.ask("POST", INFER, {"inputs": [tensor()], "outputs": [{"name": "nothing"}]}), 400)


@pytest.mark.parametrize("timeout", [0, -1, 1e300, "soon", True, None])
def test_senseless_timeouts(hasty: Server, timeout: Any) -> None:
    answer = hasty.ask("POST", PREDICT, {"inputs": [1], "timeout_ms": timeout})
    if timeout is None:
        assert answer.status == 200
    else:
        refused(answer, 400)


def test_one_wrong_request_does_not_harm_its_neighbours(hasty: Server) -> None:
    wrong, right = raw_request("POST", PREDICT, b'{"inputs":["x"]}'), raw_request("POST", PREDICT, b'{"inputs":[3]}')
    close = raw_request("GET", "/livez", b"", "Connection: close")
    answer = hasty.raw((wrong + right) * 20 + close)
    assert answer.count(b"HTTP/1.1 400") == 20
    assert answer.count(b'"outputs":[6.0]') == 20
