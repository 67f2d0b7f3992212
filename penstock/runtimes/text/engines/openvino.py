"""Transformers on OpenVINO, from IR and ONNX files; on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np

from penstock.core.model import ModelSpec
from penstock.core.tensors import Array
from penstock.core.text import TextModel
from penstock.runtimes import openvino as ir
from penstock.runtimes.text.engines.feed import Feed, check_open, chosen

_DTYPES = {"i64": np.int64, "i32": np.int32, "f32": np.float32}


class OpenvinoEngine:
    """One compiled graph."""

    def __init__(self, network: ir.Network, model: TextModel, pad: int):
        check_open((port.name, port.shape) for port in network.inputs)
        # Other types than these would be converted by OpenVINO.
        dtypes = {port.name: np.dtype(_DTYPES.get(port.kind, np.int64)) for port in network.inputs}
        self._feed = Feed(dtypes, model.architecture, pad)
        names = [port.name for port in network.outputs]
        self._index = chosen(names, model.task)
        self.output = names[self._index]
        self._network = network

    def run(self, ids: Array, mask: Array, types: Array | None) -> Array:
        """One batch."""
        feed = self._feed(ids, mask, types)
        return np.asarray(self._network.run(list(feed.values()))[self._index], np.float32)


def open_engine(spec: ModelSpec, model: TextModel, pad: int) -> OpenvinoEngine:
    """Reads and compiles the file. Raises `ModelFileError` with the reason."""

    def compiled(graph: Any) -> Any:
        group = model.dynamic_quantization
        return ir.compile_model(graph, spec, model.inference, DYNAMIC_QUANTIZATION_GROUP_SIZE=group)

    return OpenvinoEngine(ir.Network(lambda: ir.read_model(spec), compiled), model, pad)
