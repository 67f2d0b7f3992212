"""Transformers on OpenVINO, from IR and ONNX files; on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np

from penstock.core.model import ModelSpec
from penstock.core.tensors import Array
from penstock.core.text import TextModel
from penstock.runtimes import openvino as ir
from penstock.runtimes.text.engines.feed import Feed, check_open, chosen


class OpenvinoEngine:
    """One compiled graph."""

    def __init__(self, compiled: Any, model: TextModel, pad: int):
        check_open((ir.name_of(port), ir.shape_of(port)) for port in compiled.inputs)
        self._feed = Feed({ir.name_of(port): port.get_element_type().to_dtype() for port in compiled.inputs},
                          model.architecture, pad)  # fmt: skip
        names = [ir.name_of(port) for port in compiled.outputs]
        self._index = chosen(names, model.task)
        self.output = names[self._index]
        self._request = compiled.create_infer_request()

    def run(self, ids: Array, mask: Array, types: Array | None) -> Array:
        """One batch."""
        values = self._request.infer(self._feed(ids, mask, types), share_inputs=True, share_outputs=True)
        return np.asarray(values[self._index], np.float32)


def open_engine(spec: ModelSpec, model: TextModel, pad: int) -> OpenvinoEngine:
    """Reads and compiles the file. Raises `ModelFileError` with the reason."""
    graph = ir.with_float_ports(ir.read_model(spec))
    compiled = ir.compile_model(
        graph, spec, model.inference, DYNAMIC_QUANTIZATION_GROUP_SIZE=model.dynamic_quantization
    )
    return OpenvinoEngine(compiled, model, pad)
