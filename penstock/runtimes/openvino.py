"""OpenVINO IR files (.xml, its weights in the .bin beside it) on the CPU; ONNX files when asked."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np

from penstock.core.errors import BadInput, ConfigError, ModelFileError
from penstock.core.model import ModelSpec
from penstock.core.signature import Signature, TensorSpec
from penstock.core.tensors import Array
from penstock.runtimes import classes, external_data
from penstock.runtimes.files import read
from penstock.runtimes.shapes import as_asked, by_first_axis, empty_outputs, no_rows

log = logging.getLogger("penstock.runtimes.openvino")

INFERENCE = ("f32", "bf16", "f16")
_DATATYPES = {
    "boolean": "BOOL", "u8": "UINT8", "u16": "UINT16", "u32": "UINT32", "u64": "UINT64", "i8": "INT8", "i16": "INT16",
    "i32": "INT32", "i64": "INT64", "f16": "FP16", "f32": "FP32", "f64": "FP64",
}  # fmt: skip
# Where a constant lies in the .bin file.
_CONSTANT = re.compile(rb'<data\b[^>]*?\boffset="(\d{1,18})"[^>]*?\bsize="(\d{1,18})"')
_REASONS = {
    "Incorrect weights": "its .bin file is truncated, or another model's",
    "Empty weights": "its .bin file is missing, or empty",
    "parsing": "it is truncated or damaged",
    "parsed": "it is truncated or damaged",
    "mismatch at": "it is truncated or damaged",
    "Unsupported": "it uses an operation that this version lacks",
    "No conversion rule": "it uses an operation that this version lacks",
    "not supported": "it uses an operation that this version lacks",
}


class OpenvinoRuntime:
    """Runs one graph. Inputs and outputs keep the names of the file; BF16 ones are taken and given as FP32."""

    borrows = True

    def __init__(self) -> None:
        self.network: Network
        self.signature = Signature(())

    def load(self, spec: ModelSpec) -> Signature:
        """Reads the file, compiles it, and reads its signature."""
        classes.check_no_classifier(spec.output)
        inference = inference_of(spec)
        self.network = Network(lambda: read_model(spec), lambda model: compile_model(model, spec, inference))
        inputs = [_spec(port) for port in self.network.inputs]
        outputs = [_spec(port) for port in self.network.outputs]
        self.signature = as_asked(by_first_axis(inputs, outputs), spec)
        return self.signature

    def run(self, inputs: dict[str, Array]) -> dict[str, Array]:
        """Runs one batch."""
        if no_rows(self.signature, inputs):
            return empty_outputs(self.signature)
        feed = [inputs[port.name] for port in self.network.inputs]
        try:
            values = self.network.run(feed)
        except RuntimeError as error:
            if "shape" not in str(error).lower():
                raise
            raise BadInput("the model does not take this input: check shapes and ranges", detail=str(error)) from error
        return {port.name: np.array(value) for port, value in zip(self.network.outputs, values, strict=True)}


class Port(NamedTuple):
    """An input or output. `kind`: its element type, as OpenVINO calls it; -1 in `shape` is open."""

    name: str
    kind: str
    shape: tuple[int, ...]


class Network:
    """A graph that runs one batch at a time. `read`: gives the graph; `compile`: makes it ready to run.

    Two defects of OpenVINO (2026.4) are worked around. With one thread, `infer` keeps errors to itself and leaves the
    last batch's answer in place; `wait` raises them. And after an error in a graph with open shapes, that graph may
    fail for ever; it is read and compiled again.
    """

    def __init__(self, read: Callable[[], Any], compile: Callable[[Any], Any]):
        self._open: Callable[[], Any] = lambda: compile(with_float_ports(read())).create_infer_request()
        model = with_float_ports(read())
        self.inputs = _ports(model.inputs)
        self.outputs = _ports(model.outputs)
        self._request = compile(model).create_infer_request()

    def run(self, feed: Sequence[Array]) -> list[Array]:
        """One batch: the inputs in order. Returns the outputs in order; the next call overwrites them."""
        request, self._request = self._request or self._open(), None
        request.start_async(feed, share_inputs=True)
        request.wait()
        self._request = request
        return [request.get_output_tensor(number).data for number in range(len(self.outputs))]


def _ports(ports: Sequence[Any]) -> list[Port]:
    """What a graph takes or gives. Raises `ModelFileError` for a port without a fixed number of axes."""
    return [Port(name_of(port), port.get_element_type().get_type_name(), _shape(port)) for port in ports]


def library() -> Any:
    """OpenVINO, kept from reporting to its maker that it was imported."""
    # Without this package it uses a stub of its own, which sends nothing.
    sys.modules.setdefault("openvino_telemetry", cast(Any, None))
    import openvino

    return openvino


def inference_of(spec: ModelSpec) -> str:
    """The arithmetic that the options ask for. Raises `ConfigError` for one that there is not."""
    asked = spec.options.get("inference", "f32")
    if asked not in INFERENCE:
        raise ConfigError(f"inference must be {', '.join(INFERENCE)}, not {asked!r}")
    return str(asked)


def read_model(spec: ModelSpec) -> Any:
    """The graph of an IR or ONNX file. Raises `ModelFileError` with the reason."""
    data, path = read(spec), Path(spec.path)
    if spec.format == "onnx":
        external_data.check(path.parent, external_data.locations(data))
    else:
        check_weights(data, path.with_suffix(".bin"))
    openvino = library()
    try:
        return openvino.Core().read_model(str(path))
    except Exception as error:
        raise _unreadable(error) from error


def check_weights(graph: bytes, weights: Path) -> None:
    """Raises `ModelFileError` unless the .bin file is as long as the graph's constants say."""
    ends = [int(offset) + int(size) for offset, size in _CONSTANT.findall(graph)]
    if not ends:
        return
    try:
        found = weights.stat().st_size
    except OSError as error:
        raise ModelFileError("the weights are missing: the .bin file of the same name must lie beside it") from error
    if found != max(ends):
        raise ModelFileError(
            f"the .bin file has {found} bytes, the .xml file describes {max(ends)}: it is truncated, or another model's"
        )


def with_float_ports(model: Any) -> Any:
    """The graph, its BF16 inputs and outputs turned into FP32, as numpy lacks the type."""
    openvino = library()
    if all(port.get_element_type() != openvino.Type.bf16 for port in (*model.inputs, *model.outputs)):
        return model
    ports = openvino.preprocess.PrePostProcessor(model)
    for sides, found in ((ports.input, model.inputs), (ports.output, model.outputs)):
        for index, port in enumerate(found):
            if port.get_element_type() == openvino.Type.bf16:
                sides(index).tensor().set_element_type(openvino.Type.f32)
    return ports.build()


def compile_model(model: Any, spec: ModelSpec, inference: str, **settings: Any) -> Any:
    """The graph, ready to run in the worker's threads. Raises `ModelFileError` with the reason."""
    openvino = library()
    core = openvino.Core()
    chosen = {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": spec.threads,
        "INFERENCE_PRECISION_HINT": _possible(core, inference),
        # Workers would all be pinned to the same first cores.
        "ENABLE_CPU_PINNING": False,
    }
    try:
        return core.compile_model(model, "CPU", {**chosen, **settings})
    except Exception as error:
        raise _unreadable(error) from error


def _possible(core: Any, inference: str) -> str:
    """The arithmetic asked for, or f32 where this processor has no instructions for it."""
    names = {"bf16": "BF16", "f16": "FP16"}
    if inference == "f32" or names[inference] in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        return inference
    log.warning("this processor has no %s arithmetic, so the model is computed in f32: the same answers, slower",
                inference)  # fmt: skip
    return "f32"


def _unreadable(error: Exception) -> ModelFileError:
    text = str(error)
    reason = next((words for mark, words in _REASONS.items() if mark in text), "its graph is not valid")
    version = library().__version__.partition("-")[0]
    return ModelFileError(f"OpenVINO {version} cannot load the file: {reason}", detail=text)


def name_of(port: Any) -> str:
    """The name of an input or output; the first of several, in the order of the alphabet."""
    return str(port.get_any_name() if port.get_names() else port.get_node().get_friendly_name())


def _shape(port: Any) -> tuple[int, ...]:
    shape = port.get_partial_shape()
    if shape.rank.is_dynamic:
        raise ModelFileError(f"{name_of(port)!r} has no fixed number of axes, so it cannot be served")
    return tuple(-1 if size.is_dynamic else int(size.get_length()) for size in shape)


def _spec(port: Port) -> TensorSpec:
    datatype = _DATATYPES.get(port.kind)
    if datatype is None:
        raise ModelFileError(f"{port.name!r} is {port.kind}, which cannot be served; convert it to a plain tensor")
    return TensorSpec(port.name, datatype, port.shape)
