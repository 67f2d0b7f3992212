"""Transformers on ONNX Runtime, on the CPU or a CUDA device."""

from __future__ import annotations

from typing import Any

import numpy as np

from penstock.core.errors import ConfigError
from penstock.core.model import ModelSpec
from penstock.core.tensors import Array
from penstock.core.text import TextModel
from penstock.runtimes.onnx import open_session
from penstock.runtimes.text.engines.feed import Feed, check_open, chosen

_DTYPES = {"tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(float)": np.float32}


class OnnxEngine:
    """One session."""

    def __init__(self, session: Any, model: TextModel, pad: int):
        inputs = session.get_inputs()
        check_open((node.name, node.shape) for node in inputs)
        dtypes = {node.name: np.dtype(_DTYPES.get(node.type, np.int64)) for node in inputs}
        self._feed = Feed(dtypes, model.architecture, pad)
        names = [node.name for node in session.get_outputs()]
        self.output = names[chosen(names, model.task)]
        self._session = session

    def run(self, ids: Array, mask: Array, types: Array | None) -> Array:
        """One batch."""
        [values] = self._session.run([self.output], self._feed(ids, mask, types))
        return np.asarray(values, np.float32)


def open_engine(spec: ModelSpec, model: TextModel, pad: int) -> OnnxEngine:
    """Builds the session. Raises `ModelFileError` with the reason, `ConfigError` for what it would not obey."""
    if model.inference != "f32" or model.dynamic_quantization:
        raise ConfigError(
            "ONNX Runtime computes as the file says: inference and dynamic_quantization are for engine: openvino"
        )
    return OnnxEngine(open_session(spec), model, pad)
