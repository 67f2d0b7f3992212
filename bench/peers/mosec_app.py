"""Mosec: a Rust front end that batches, one Python worker with ONNX Runtime."""

from __future__ import annotations

import os

import msgspec
import numpy as np
import onnxruntime
from mosec import Server, Worker


class Flower(msgspec.Struct):
    """One row of the iris data set."""

    features: list[float]


class Prediction(msgspec.Struct):
    """The class and how sure the model is of each."""

    label: int
    probabilities: list[float]


class Iris(Worker):
    """Runs a batch of rows through the ONNX model."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        path = os.environ["IRIS_ONNX"]
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.input = self.session.get_inputs()[0].name
        self.decoder = msgspec.json.Decoder(Flower)

    def deserialize(self, data: bytes) -> Flower:
        """JSON in."""
        return self.decoder.decode(data)

    def forward(self, data: list[Flower]) -> list[Prediction]:
        """One run of the model for the whole batch."""
        rows = np.array([flower.features for flower in data], np.float32)
        labels, probabilities = self.session.run(None, {self.input: rows})
        return [Prediction(*pair) for pair in zip(labels.tolist(), probabilities.tolist(), strict=True)]

    def serialize(self, data: Prediction) -> bytes:
        """JSON out."""
        return msgspec.json.encode(data)


if __name__ == "__main__":
    server = Server()
    server.append_worker(Iris, num=1, max_batch_size=32, max_wait_time=1)
    server.run()
