"""KServe's REST client against a served ONNX and a served scikit-learn model."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

pytest.importorskip("kserve", reason="the kserve client is not installed")

from kserve import InferenceRESTClient, InferInput, InferRequest
from kserve.inference_client import RESTConfig

from tests.conftest import Iris
from tests.servers import Server


async def infer(url: str, model: str, spec: dict[str, Any], rows: Any, binary: bool) -> dict[str, Any]:
    client = InferenceRESTClient(RESTConfig(protocol="v2", verbose=False))
    try:
        assert await client.is_server_live(url)
        assert await client.is_server_ready(url)
        assert await client.is_model_ready(url, model)
        tensor = InferInput(spec["name"], list(rows.shape), spec["datatype"])
        tensor.set_data_from_numpy(rows, binary_data=binary)
        answer = await client.infer(url, InferRequest(model, [tensor], request_id="mine"), model_name=model)
    finally:
        await client.close()
    assert answer.id == "mine"
    return {output.name: output.as_numpy() for output in answer.outputs}


@pytest.mark.parametrize("model", ["iris", "iris_sk"])
@pytest.mark.parametrize("binary", [True, False])
def test_the_same_numbers_as_the_model_itself(house: Server, iris: Iris, model: str, binary: bool) -> None:
    (spec,) = house.ask("GET", f"/v2/models/{model}").json()["inputs"]
    rows = iris.rows.astype(np.float64 if spec["datatype"] == "FP64" else np.float32)
    outputs = asyncio.run(infer(f"http://127.0.0.1:{house.port}", model, spec, rows, binary))
    labels = next(array for array in outputs.values() if array.ndim == 1)
    probabilities = next(array for array in outputs.values() if array.ndim == 2)
    assert labels.tolist() == iris.model.predict(iris.rows).tolist()
    np.testing.assert_allclose(probabilities, iris.model.predict_proba(iris.rows), atol=1e-5)
