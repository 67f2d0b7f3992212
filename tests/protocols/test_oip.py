"""The Open Inference Protocol's messages: JSON, and the binary tensor extension, both ways."""

from __future__ import annotations

import gzip
import json
import math
import struct
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from penstock.core.signature import Signature, TensorSpec
from penstock.core.tensors import DTYPES, Tensor, encode_bytes
from penstock.protocols.http.message import HttpResponse
from tests.protocols.doors import Doors, body, header, view

VALUES: dict[str, list[Any]] = {
    "BOOL": [True, False],
    "UINT8": [0, 255],
    "UINT16": [0, 65535],
    "UINT32": [0, 2**32 - 1],
    "UINT64": [0, 2**64 - 1],
    "INT8": [-128, 127],
    "INT16": [-(2**15), 2**15 - 1],
    "INT32": [-(2**31), 2**31 - 1],
    "INT64": [-(2**63), 2**63 - 1],
    "FP32": [-1.5, 3.25],
    "FP64": [-1e300, 0.1],
    "BYTES": ["", "zwei \u0000 ünï🌊"],
}
JSON_TYPES = sorted(VALUES)


def same(datatype: str, shape: tuple[int, ...] = (-1,)) -> Doors:
    """Doors of a model that returns its input."""
    specs = (TensorSpec("x", datatype, shape),)
    return Doors(view("m", Signature(specs, (TensorSpec("x", datatype, shape),))))


def infer(doors: Doors, inputs: list[dict[str, Any]], binary: bytes = b"", **rest: Any) -> HttpResponse:
    head = json.dumps({"inputs": inputs, **rest}).encode()
    if not binary:
        return doors.ask("POST", "/v2/models/m/infer", head)
    return doors.ask("POST", "/v2/models/m/infer", head + binary, inference_header_content_length=str(len(head)))


def split(response: HttpResponse) -> tuple[dict[str, Any], bytes]:
    """The JSON part and the binary part of a response."""
    raw = body(response)
    assert response.status == 200, raw
    length = header(response, "inference-header-content-length")
    assert (length is None) == (response.content_type == b"application/json")
    at = len(raw) if length is None else int(length)
    return json.loads(raw[:at]), raw[at:]


def raw_of(datatype: str, values: list[Any]) -> bytes:
    if datatype == "BYTES":
        return b"".join(struct.pack("<I", len(v.encode())) + v.encode() for v in values)
    return np.array(values, DTYPES[datatype]).tobytes()


@pytest.mark.parametrize("datatype", JSON_TYPES)
def test_json_both_ways(datatype: str) -> None:
    values = VALUES[datatype]
    answer, binary = split(infer(same(datatype), [{"name": "x", "shape": [2], "datatype": datatype, "data": values}]))
    assert answer["outputs"] == [{"name": "x", "shape": [2], "datatype": datatype, "data": values}]
    assert binary == b""


@pytest.mark.parametrize("datatype", JSON_TYPES)
def test_binary_both_ways(datatype: str) -> None:
    raw = raw_of(datatype, VALUES[datatype])
    tensor = {"name": "x", "shape": [2], "datatype": datatype, "parameters": {"binary_data_size": len(raw)}}
    answer, binary = split(infer(same(datatype), [tensor], raw, parameters={"binary_data_output": True}))
    (output,) = answer["outputs"]
    assert output == {"name": "x", "shape": [2], "datatype": datatype, "parameters": {"binary_data_size": len(raw)}}
    assert binary == raw


@pytest.mark.parametrize("datatype", ["FP16", "BF16"])
def test_half_precision_travels_as_binary_only(datatype: str) -> None:
    raw = struct.pack("<2H", 0x3F80, 0xBF80)
    tensor = {"name": "x", "shape": [2], "datatype": datatype, "parameters": {"binary_data_size": 4}}
    answer, binary = split(
        infer(same(datatype), [tensor], raw, outputs=[{"name": "x", "parameters": {"binary_data": True}}])
    )
    assert (answer["outputs"][0]["datatype"], binary) == (datatype, raw)
    as_json = infer(same(datatype), [tensor], raw)
    assert as_json.status == 400
    assert "binary_data" in json.loads(body(as_json))["error"]


def test_nested_and_flat_data_mean_the_same() -> None:
    doors = same("INT32", (-1, 2, 2))
    for data in ([[[1, 2], [3, 4]]], [1, 2, 3, 4]):
        answer, _ = split(infer(doors, [{"name": "x", "shape": [1, 2, 2], "datatype": "INT32", "data": data}]))
        assert answer["outputs"][0]["data"] == [1, 2, 3, 4]


def two(**specs: str) -> Doors:
    inputs = tuple(TensorSpec(name, datatype, (-1,)) for name, datatype in specs.items())
    return Doors(view("m", Signature(inputs, inputs)))


def test_each_output_may_choose_its_form_and_order() -> None:
    doors = two(a="INT32", b="FP32")
    inputs = [
        {"name": "a", "shape": [1], "datatype": "INT32", "data": [1]},
        {"name": "b", "shape": [1], "datatype": "FP32", "data": [2.5]},
    ]
    wanted = [{"name": "b", "parameters": {"binary_data": True}}, {"name": "a"}]
    answer, binary = split(infer(doors, inputs, outputs=wanted))
    assert [output["name"] for output in answer["outputs"]] == ["b", "a"]
    assert answer["outputs"][1]["data"] == [1]
    assert binary == struct.pack("<f", 2.5)
    wanted = [{"name": "a", "parameters": {"binary_data": False}}, {"name": "b"}]
    answer, binary = split(infer(doors, inputs, outputs=wanted, parameters={"binary_data_output": True}))
    assert answer["outputs"][0]["data"] == [1]
    assert binary == struct.pack("<f", 2.5)


def test_binary_and_json_inputs_mix_in_listed_order() -> None:
    doors = two(a="INT32", b="FP32", c="BYTES")
    inputs = [
        {"name": "c", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": 6}},
        {"name": "a", "shape": [1], "datatype": "INT32", "data": [1]},
        {"name": "b", "shape": [1], "datatype": "FP32", "parameters": {"binary_data_size": 4}},
    ]
    answer, _ = split(infer(doors, inputs, struct.pack("<I2sf", 2, b"hi", 0.5)))
    assert {output["name"]: output["data"] for output in answer["outputs"]} == {"a": [1], "b": [0.5], "c": ["hi"]}


def test_header_length_zero_means_the_body_is_the_only_input() -> None:
    doors = same("FP32", (-1, 3))
    response = doors.ask("POST", "/v2/models/m/infer", struct.pack("<3f", 1, 2, 3), inference_header_content_length="0")
    answer, binary = split(response)
    assert answer["outputs"][0]["shape"] == [1, 3]
    assert binary == struct.pack("<3f", 1, 2, 3)
    text = same("BYTES").ask("POST", "/v2/models/m/infer", b"raw \x00 text", inference_header_content_length="0")
    assert split(text)[1] == encode_bytes(np.array([b"raw \x00 text"], object))
    refused = two(a="INT32", b="FP32").ask("POST", "/v2/models/m/infer", b"1234", inference_header_content_length="0")
    assert refused.status == 400


@pytest.mark.parametrize(("coding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_compression_both_ways(coding: str, pack: Any) -> None:
    doors, values = same("FP64"), [float(index) for index in range(1000)]
    plain = json.dumps({"inputs": [{"name": "x", "shape": [1000], "datatype": "FP64", "data": values}]}).encode()
    response = doors.ask("POST", "/v2/models/m/infer", pack(plain), content_encoding=coding, accept_encoding=coding)
    assert header(response, "content-encoding") == coding
    unpacked = zlib.decompress(body(response), 47)
    assert json.loads(unpacked)["outputs"][0]["data"] == values


def test_a_packed_binary_response_keeps_its_header_length() -> None:
    raw = np.arange(1000, dtype="<f8").tobytes()
    tensor = {"name": "x", "shape": [1000], "datatype": "FP64", "parameters": {"binary_data_size": len(raw)}}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    response = same("FP64").ask(
        "POST", "/v2/models/m/infer", head + raw, inference_header_content_length=str(len(head)), accept_encoding="gzip"
    )
    unpacked = gzip.decompress(body(response))
    assert unpacked[int(header(response, "inference-header-content-length") or -1) :] == raw


def test_ids_names_and_versions_are_echoed() -> None:
    answer, _ = split(infer(same("INT8"), [{"name": "x", "shape": [1], "datatype": "INT8", "data": [1]}], id="mine"))
    assert (answer["id"], answer["model_name"], answer["model_version"]) == ("mine", "m", "1")
    answer, _ = split(infer(same("INT8"), [{"name": "x", "shape": [1], "datatype": "INT8", "data": [1]}]))
    assert "id" not in answer


def test_nan_and_infinity_are_null_in_json_and_themselves_in_binary() -> None:
    array = np.array([math.nan, math.inf, 1.0], "<f4")

    def answer_with(tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        return {"x": Tensor("FP32", array)}

    specs = (TensorSpec("x", "FP32", (-1,)),)
    doors = Doors(view("m", Signature(specs, specs)), answer=answer_with)
    inputs = [{"name": "x", "shape": [3], "datatype": "FP32", "data": [1, 2, 3]}]
    assert split(infer(doors, inputs))[0]["outputs"][0]["data"] == [None, None, 1.0]
    assert split(infer(doors, inputs, parameters={"binary_data_output": True}))[1] == array.tobytes()


def test_no_rows_is_an_answer_when_the_model_allows() -> None:
    answer, _ = split(infer(same("FP32", (-1, 4)), [{"name": "x", "shape": [0, 4], "datatype": "FP32", "data": []}]))
    assert answer["outputs"][0] == {"name": "x", "shape": [0, 4], "datatype": "FP32", "data": []}


def tensor(**changes: Any) -> dict[str, Any]:
    return {"name": "x", "shape": [2], "datatype": "FP32", "data": [1, 2], **changes}


@pytest.mark.parametrize(
    "inputs",
    [
        [tensor(shape=[3])],
        [tensor(shape=[2**4, 2**60 + 2])],
        [tensor(shape=[-2])],
        [tensor(shape=[2.0])],
        [tensor(shape=[1] * 40)],
        [tensor(datatype="FP128")],
        [tensor(datatype="FP64")],
        [tensor(datatype="INT32", data=[1.5, 2])],
        [tensor(datatype="UINT8", data=[300, 1])],
        [tensor(data=[True, False])],
        [tensor(data=["1", "2"])],
        [tensor(data=[1e39, 0])],
        [tensor(data=["1", 1])],
        [tensor(data=[[1, 2], [3]])],
        [tensor(data=[[1], 2])],
        [tensor(data={"a": 1})],
        [tensor(data=1)],
        [tensor(name="y")],
        [tensor(), tensor()],
        [tensor(), tensor(name="y")],
        [],
        [{"name": "x", "shape": [2], "datatype": "FP32"}],
        [tensor(parameters={"binary_data_size": 8})],
        [tensor(data=[1, 2, 3])],
    ],
)
def test_wrong_tensors_are_refused_with_400(inputs: list[dict[str, Any]]) -> None:
    doors = same("FP32")
    response = infer(doors, inputs)
    assert response.status == 400
    assert json.loads(body(response))["code"] == "bad_input"
    assert infer(doors, [tensor()]).status == 200


@pytest.mark.parametrize("size", [7, 9, -1, 8.0, "8", True, 2**70, None])
def test_a_binary_size_that_does_not_match_is_refused(size: Any) -> None:
    wrong = {"name": "x", "shape": [2], "datatype": "FP32", "parameters": {"binary_data_size": size}}
    assert infer(same("FP32"), [wrong], b"12345678").status == 400


@pytest.mark.parametrize(
    "raw", [struct.pack("<I", 100) + b"abc", b"\xff\xff\xff\xff", b"\x01", struct.pack("<II", 0, 0)]
)
def test_a_bytes_prefix_past_the_end_is_refused(raw: bytes) -> None:
    wrong = {"name": "x", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": len(raw)}}
    assert infer(same("BYTES"), [wrong], raw).status == 400


def test_binary_data_that_belongs_to_no_input_is_refused() -> None:
    assert infer(same("FP32"), [tensor()], b"more").status == 400


@pytest.mark.parametrize("length", ["-1", "99999999999999999999", "1e3", "", "abc", "100000", "\u00b2"])
def test_a_header_length_beyond_the_body_is_refused(length: str) -> None:
    plain = json.dumps({"inputs": [tensor()]}).encode()
    assert same("FP32").ask("POST", "/v2/models/m/infer", plain, inference_header_content_length=length).status == 400


@pytest.mark.parametrize("priority", [1.5, "high", True, -1, 10**30])
def test_senseless_priorities_and_timeouts_are_refused(priority: Any) -> None:
    assert infer(same("FP32"), [tensor()], parameters={"priority": priority}).status == 400
    assert infer(same("FP32"), [tensor()], parameters={"timeout_ms": -1}).status == 400
    assert infer(same("FP32"), [tensor()], parameters={"timeout": "soon"}).status == 400


def test_reserved_parameters_reach_the_request() -> None:
    doors = same("FP32")
    infer(doors, [tensor()], parameters={"timeout": 2_000_000, "priority": 1})
    request = doors.echo.requests[-1]
    assert (request.deadline, request.priority) == (2.0, 0)


RESERVED = {
    "shared_memory_region": "region0",
    "shared_memory_byte_size": 8,
    "classification": 3,
    "sequence_id": 7,
    "sequence_start": True,
    "sequence_end": True,
}


@pytest.mark.parametrize("name", RESERVED)
@pytest.mark.parametrize("nothing", [False, True])
def test_extensions_that_are_not_offered_are_refused_by_name_and_never_ignored(name: str, nothing: bool) -> None:
    doors, asked = same("FP32"), {name: type(RESERVED[name])() if nothing else RESERVED[name]}
    for response in (
        infer(doors, [tensor()], parameters=asked),
        infer(doors, [tensor(parameters=asked)]),
        infer(doors, [tensor()], outputs=[{"name": "x", "parameters": asked}]),
    ):
        assert response.status == (200 if nothing else 400)
        assert nothing or f"{name} is not offered" in json.loads(body(response))["error"]


def test_parameters_of_the_clients_own_are_accepted() -> None:
    own: dict[str, Any] = {"colour": "red", "triton_enable_empty_final_response": True}
    wanted = [{"name": "x", "parameters": own}]
    assert infer(same("FP32"), [tensor(parameters=own)], parameters=own, outputs=wanted).status == 200


def test_metadata_config_statistics_index_and_unsupported_calls() -> None:
    doors = same("BYTES", (-1, 2))

    def get(method: str, path: str) -> Any:
        return json.loads(body(doors.ask(method, path)))

    assert get("GET", "/v2")["name"] == get("GET", "/v2/")["name"] == "penstock"
    assert get("GET", "/v2/models/m")["inputs"] == [{"name": "x", "datatype": "BYTES", "shape": [-1, 2]}]
    assert get("GET", "/v2/models/m/versions/1/ready") == {"name": "m", "ready": True}
    assert get("GET", "/v2/models/m/config")["input"] == [{"name": "x", "data_type": "TYPE_STRING", "dims": [2]}]
    assert get("GET", "/v2/models/stats")["model_stats"][0]["name"] == "m"
    assert get("POST", "/v2/repository/index")[0]["state"] == "READY"
    assert get("GET", "/v2/health/ready") == {"ready": True, "live": True}
    assert doors.ask("POST", "/v2/repository/models/m/load").status == 200
    assert doors.ask("POST", "/v2/repository/models/m/unload").status == 200
    assert doors.lifecycle.asked == ["load m", "unload m"]
    assert doors.ask("POST", "/v2/repository/models/other/load").status == 404
    assert doors.ask("GET", "/v2/models/m/versions/7").status == 404
    assert doors.ask("GET", "/v2/models/other/ready").status == 404
