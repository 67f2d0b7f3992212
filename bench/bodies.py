"""The requests that the loads repeat."""

from __future__ import annotations

import json
from typing import Any

from bench.contestant import Absent
from bench.http import call
from bench.models import IMAGE_SHAPE, IRIS_ROW, Models
from bench.wrk import Request

JSON = {"Content-Type": "application/json"}


def plain_iris(path: str) -> Request:
    """The body that people design for themselves."""
    return Request(path, JSON, json.dumps({"features": IRIS_ROW}).encode())


def oip_iris(port: int) -> Request:
    """One iris in the Open Inference Protocol, with the input name that the server's metadata tells."""
    tensor = {"name": _input_name(port, "iris"), "shape": [1, 4], "datatype": "FP32", "data": IRIS_ROW}
    return Request("/v2/models/iris/infer", JSON, json.dumps({"inputs": [tensor]}).encode())


def oip_image_json(port: int, models: Models) -> Request:
    """The image as a client writes it with `array.ravel().tolist()`."""
    tensor = {**_image(port), "data": models.image.ravel().tolist()}
    return Request("/v2/models/vision/infer", JSON, json.dumps({"inputs": [tensor]}).encode())


def oip_image_binary(port: int, models: Models) -> Request:
    """The image through the binary tensor extension, asking for a binary answer."""
    pixels = models.image.tobytes()
    tensor = {**_image(port), "parameters": {"binary_data_size": len(pixels)}}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(head))}
    return Request("/v2/models/vision/infer", headers, head + pixels)


def raw_image(models: Models) -> Request:
    """Nothing but the pixels."""
    return Request("/tensor", {"Content-Type": "application/octet-stream"}, models.image.tobytes())


def _image(port: int) -> dict[str, Any]:
    return {"name": _input_name(port, "vision"), "shape": list(IMAGE_SHAPE), "datatype": "FP32"}


def _input_name(port: int, model: str) -> str:
    answer = call(port, "GET", f"/v2/models/{model}")
    if answer.status != 200:
        raise Absent(f"no metadata for {model}: status {answer.status}")
    inputs = json.loads(answer.body)["inputs"]
    return str(inputs[0]["name"]) if inputs else "input"
