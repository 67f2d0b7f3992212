"""curl, requests, http.client: the friendly door with what everyone has."""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
from typing import BinaryIO

import numpy as np
import pytest
import requests

from tests.conftest import Iris
from tests.servers import Server, answer_of, predict_bytes


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl(house: Server) -> None:
    url = f"http://127.0.0.1:{house.port}/models/moody/predict"
    command = ["curl", "-sS", "--fail", url, "-H", "Content-Type: application/json", "-d", '{"inputs": [1, 2.5]}']
    answer = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=20).stdout)
    assert answer == {"model": "moody", "version": "1", "outputs": [2.0, 5.0]}


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_with_a_large_body_expects_100_continue(house: Server, tmp_path) -> None:  # type: ignore[no-untyped-def]
    body = tmp_path / "body.json"
    body.write_text(json.dumps({"inputs": [1.0] * 30_000}))
    url = f"http://127.0.0.1:{house.port}/models/moody/predict"
    command = ["curl", "-sS", "--compressed", "-H", "Expect: 100-continue", "-d", f"@{body}", url]
    answer = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)
    assert answer["outputs"] == [2.0] * 30_000


@pytest.mark.parametrize("model", ["iris", "iris_sk"])
def test_requests(house: Server, iris: Iris, model: str) -> None:
    with requests.Session() as session:
        for rows in (iris.rows[:1], iris.rows):
            url = f"http://127.0.0.1:{house.port}/models/{model}/predict"
            answer = session.post(url, json={"inputs": rows.tolist()}, timeout=20)
            assert answer.status_code == 200, answer.text
            labels, probabilities = (
                list(column) for column in zip(*(row.values() for row in answer.json()["outputs"]), strict=True)
            )
            assert labels == iris.model.predict(rows).tolist()
            np.testing.assert_allclose(probabilities, iris.model.predict_proba(rows), atol=1e-5)
            assert "queue;dur=" in answer.headers["server-timing"]
            assert answer.headers["x-request-id"]


def test_one_connection_carries_many_requests(house: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", house.port, timeout=20)
    connection.connect()
    sock = connection.sock
    for value in range(50):
        connection.request("POST", "/models/moody/predict", json.dumps({"inputs": [value]}))
        assert answer_of(connection.getresponse()).json()["outputs"] == [2 * value]
    assert connection.sock is sock
    connection.close()


def next_body(reader: BinaryIO) -> bytes:
    """The next response's body on a connection."""
    assert reader.readline() == b"HTTP/1.1 200 OK\r\n"
    head = http.client.parse_headers(reader)
    return reader.read(int(head["content-length"]))


def test_pipelined_requests_are_answered_in_order(house: Server) -> None:
    values = [float(value) for value in range(100)]
    with house.connect() as sock:
        sock.sendall(b"".join(predict_bytes(value) for value in values))
        with sock.makefile("rb") as reader:
            answers = [json.loads(next_body(reader))["outputs"][0] for _ in values]
    assert answers == [2 * value for value in values]


def test_http_1_0_closes(house: Server) -> None:
    answer = house.raw(predict_bytes(4).replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert answer.endswith(b'"outputs":[8.0]}')


def test_metrics_docs_and_openapi_of_a_real_server(house: Server) -> None:
    house.is_well()
    metrics = house.ask("GET", "/metrics").body.decode()
    assert 'model="moody"' in metrics
    api = house.ask("GET", "/openapi.json").json()
    assert {"/models/iris/predict", "/models/iris_sk/predict", "/models/moody/predict"} <= api["paths"].keys()
    assert api["paths"]["/models/iris/predict"]["post"]["x-penstock-model"]["state"] == "READY"
    assert house.ask("GET", "/docs").status == 200
    assert house.ask("GET", "/health").json()["status"] == "ok"


def test_head_tells_the_length_that_get_would_have(house: Server) -> None:
    head, get = house.ask("HEAD", "/docs"), house.ask("GET", "/docs")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == get.headers["content-length"] == str(len(get.body))
