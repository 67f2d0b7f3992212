"""What a careful author makes of it: async endpoints, ONNX Runtime on one thread, raw bytes for tensors."""

from __future__ import annotations

import os
from typing import Annotated

import numpy as np
import onnxruntime
from fastapi import Depends, FastAPI, Request, Response
from pydantic import BaseModel, Field


def _session(path: str) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


app = FastAPI()
iris = _session(os.environ["IRIS_ONNX"])
vision = _session(os.environ["VISION_ONNX"])
iris_input = iris.get_inputs()[0].name
vision_input = vision.get_inputs()[0].name


class Flower(BaseModel):
    """One row of the iris data set."""

    features: list[float] = Field(min_length=4, max_length=4)


class Prediction(BaseModel):
    """The class and how sure the model is of each."""

    label: int
    probabilities: list[float]


async def raw_body(request: Request) -> bytes:
    """The body as it came."""
    return await request.body()


@app.post("/predict")
async def predict(flower: Flower) -> Prediction:
    """Classify one flower."""
    label, probabilities = iris.run(None, {iris_input: np.array([flower.features], np.float32)})
    return Prediction(label=int(label[0]), probabilities=probabilities[0].tolist())


@app.post("/tensor")
async def tensor(body: Annotated[bytes, Depends(raw_body)]) -> Response:
    """Raw little-endian FP32 pixels in, raw FP32 scores out."""
    pixels = np.frombuffer(body, np.float32).reshape(1, 3, 224, 224)
    (scores,) = vision.run(None, {vision_input: pixels})
    return Response(scores.tobytes(), media_type="application/octet-stream")
