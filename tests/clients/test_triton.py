"""tritonclient's HTTP client, as people use it, against a served ONNX and a served scikit-learn model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from tests.conftest import Iris
from tests.servers import Server

MODELS = ("iris", "iris_sk")


@pytest.fixture
def client(house: Server) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(f"127.0.0.1:{house.port}", concurrency=2) as client:
        yield client


def inputs_of(client: triton.InferenceServerClient, model: str, rows: Any, binary: bool) -> list[triton.InferInput]:
    """The model's only input, as its metadata describes it."""
    (spec,) = client.get_model_metadata(model)["inputs"]
    dtype = {"FP32": np.float32, "FP64": np.float64}[spec["datatype"]]
    tensor = triton.InferInput(spec["name"], list(rows.shape), spec["datatype"])
    return [tensor.set_data_from_numpy(rows.astype(dtype), binary_data=binary)]


def outputs_by_kind(client: triton.InferenceServerClient, model: str) -> tuple[str, str]:
    """The names of the label and of the probabilities."""
    names = {len(spec["shape"]): spec["name"] for spec in client.get_model_metadata(model)["outputs"]}
    return names[1], names[2]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False])
def test_the_same_numbers_as_the_model_itself(
    client: triton.InferenceServerClient, iris: Iris, model: str, binary_in: bool, binary_out: bool
) -> None:
    label, probabilities = outputs_by_kind(client, model)
    wanted = [triton.InferRequestedOutput(name, binary_data=binary_out) for name in (label, probabilities)]
    result = client.infer(model, inputs_of(client, model, iris.rows, binary_in), outputs=wanted)
    assert result.as_numpy(label).tolist() == iris.model.predict(iris.rows).tolist()
    np.testing.assert_allclose(result.as_numpy(probabilities), iris.model.predict_proba(iris.rows), atol=1e-5)


@pytest.mark.parametrize("model", MODELS)
def test_binary_without_naming_outputs(client: triton.InferenceServerClient, iris: Iris, model: str) -> None:
    label, _ = outputs_by_kind(client, model)
    result = client.infer(model, inputs_of(client, model, iris.rows[:1], True), request_id="one")
    assert result.as_numpy(label).tolist() == iris.model.predict(iris.rows[:1]).tolist()
    assert result.get_response()["id"] == "one"


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
@pytest.mark.parametrize("binary", [True, False])
def test_compressed_both_ways(client: triton.InferenceServerClient, iris: Iris, coding: str, binary: bool) -> None:
    label, _ = outputs_by_kind(client, "iris")
    rows = np.tile(iris.rows, (10, 1))
    result = client.infer(
        "iris",
        inputs_of(client, "iris", rows, binary),
        request_compression_algorithm=coding,
        response_compression_algorithm=coding,
    )
    assert result.as_numpy(label).tolist() == iris.model.predict(rows).tolist()


def test_async(client: triton.InferenceServerClient, iris: Iris) -> None:
    label, _ = outputs_by_kind(client, "iris")
    pending = [client.async_infer("iris", inputs_of(client, "iris", iris.rows[i : i + 1], True)) for i in range(8)]
    labels = [request.get_result().as_numpy(label).tolist()[0] for request in pending]
    assert labels == iris.model.predict(iris.rows[:8]).tolist()


def test_what_the_server_says_of_itself(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    metadata = client.get_server_metadata()
    assert metadata["name"] == "penstock"
    assert {"binary_tensor_data", "statistics", "model_repository"} <= set(metadata["extensions"])


@pytest.mark.parametrize("version", ["", "1"])
def test_what_the_server_says_of_a_model(client: triton.InferenceServerClient, version: str) -> None:
    assert client.is_model_ready("iris", version)
    metadata = client.get_model_metadata("iris", version)
    assert (metadata["name"], metadata["versions"]) == ("iris", ["1"])
    config = client.get_model_config("iris", version)
    assert config["name"] == "iris"
    assert config["max_batch_size"] > 0
    assert config["input"][0]["dims"] == [4]
    assert not client.is_model_ready("nothing")


def test_statistics_count(client: triton.InferenceServerClient, iris: Iris) -> None:
    def counts() -> dict[str, Any]:
        return client.get_inference_statistics("iris")["model_stats"][0]

    before = counts()
    client.infer("iris", inputs_of(client, "iris", iris.rows[:5], True))
    after = counts()
    assert after["inference_count"] - before["inference_count"] == 5
    assert after["inference_stats"]["success"]["count"] - before["inference_stats"]["success"]["count"] == 1
    assert len(client.get_inference_statistics()["model_stats"]) == 3


def test_the_repository_index(client: triton.InferenceServerClient) -> None:
    index = {entry["name"]: entry["state"] for entry in client.get_model_repository_index()}
    assert index == {"iris": "READY", "iris_sk": "READY", "moody": "READY"}


def test_errors_reach_the_client_as_its_own_exception(client: triton.InferenceServerClient, iris: Iris) -> None:
    wrong = triton.InferInput("nonsense", [1, 4], "FP32").set_data_from_numpy(iris.rows[:1].astype(np.float32))
    with pytest.raises(InferenceServerException, match="unknown input 'nonsense'"):
        client.infer("iris", [wrong])
    with pytest.raises(InferenceServerException, match="did you mean 'iris'"):
        client.infer("irish", inputs_of(client, "iris", iris.rows[:1], True))
    inputs = inputs_of(client, "iris", iris.rows[:1], True)
    with pytest.raises(InferenceServerException, match="unknown output"):
        client.infer("iris", inputs, outputs=[triton.InferRequestedOutput("nonsense")])


def test_a_timeout_is_honoured(client: triton.InferenceServerClient) -> None:
    slow = triton.InferInput("x", [1], "FP64").set_data_from_numpy(np.array([999.0]))
    with pytest.raises(InferenceServerException, match="within its time") as caught:
        client.infer("moody", [slow], timeout=50_000)
    assert caught.value.status() == "504"
