"""ONNX files on ONNX Runtime, on the CPU or a CUDA device."""

from __future__ import annotations

import logging
import os
import re
import shutil
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from penstock.core.errors import BadInput, ConfigError, MissingExtra, ModelFileError
from penstock.core.model import ModelSpec
from penstock.core.signature import Signature, TensorSpec
from penstock.core.tensors import Array, bytes_array
from penstock.runtimes import classes, external_data
from penstock.runtimes.contract import Saved
from penstock.runtimes.files import read
from penstock.runtimes.shapes import as_asked, by_first_axis, empty_outputs, no_rows, stand_in
from penstock.runtimes.tables import text_array

log = logging.getLogger("penstock.runtimes.onnx")

_DATATYPES = {
    "tensor(bool)": "BOOL", "tensor(uint8)": "UINT8", "tensor(uint16)": "UINT16", "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64", "tensor(int8)": "INT8", "tensor(int16)": "INT16", "tensor(int32)": "INT32",
    "tensor(int64)": "INT64", "tensor(float16)": "FP16", "tensor(float)": "FP32", "tensor(double)": "FP64",
    "tensor(string)": "BYTES",
}  # fmt: skip
# A ZipMap, with which converters end a classifier: one map from class to probability per row.
_ZIPMAPS = ("seq(map(string,tensor(float)))", "seq(map(int64,tensor(float)))")
# First axes whose positions belong together, by the names that exporters give them: rows of two requests must not mix.
_SEQUENCE = re.compile("seq|time|len|frame|token|step|height|width", re.IGNORECASE)


class OnnxRuntime:
    """Runs one ONNX graph. Inputs and outputs keep the names of the file.

    A classifier that a converter ended in a ZipMap answers "label" and "probabilities" (FP32).
    """

    borrows = True

    def __init__(self) -> None:
        self.session: Any = None
        self.signature = Signature(())
        self._outputs: dict[str, str] = {}
        self._texts: frozenset[str] = frozenset()
        self._zipmap: str | None = None
        self._keys: list[Any] = []

    def load(self, spec: ModelSpec) -> Signature:
        """Builds the session from the file's bytes and reads its signature."""
        self.session = open_session(spec)
        inputs = [_spec(node) for node in self.session.get_inputs()]
        self._texts = frozenset(node.name for node in inputs if node.datatype == "BYTES")
        outputs = self._name_outputs(spec.output)
        signature = by_first_axis(inputs, [self._output_spec(*pair) for pair in outputs.items()])
        if any(_SEQUENCE.search(name) for name in _first_axes(self.session)):
            signature = msgspec.structs.replace(signature, batched=False)
        signature = as_asked(signature, spec)
        self._outputs = outputs
        if self._zipmap:
            signature = self._with_classes(signature)
        self.signature = signature
        return signature

    def _name_outputs(self, output: str) -> dict[str, str]:
        """Our name of each wanted output → the file's."""
        nodes = {node.name: node for node in self.session.get_outputs()}
        self._zipmap = next((name for name, node in nodes.items() if node.type in _ZIPMAPS), None)
        ours = {_our_name(name, self._zipmap, len(nodes)): name for name in nodes}
        if output == "both":
            return ours
        found = {name: theirs for name, theirs in ours.items() if output[:4] in name.lower()}
        if not found:
            raise ConfigError(f"output: {output} fits none of the model's outputs: {', '.join(ours)}")
        return found

    def _output_spec(self, name: str, theirs: str) -> TensorSpec:
        node = next(node for node in self.session.get_outputs() if node.name == theirs)
        return TensorSpec(name, "FP32", (-1, -1)) if theirs == self._zipmap else _spec(node, name)

    def _with_classes(self, signature: Signature) -> Signature:
        """Learns a ZipMap's classes, which only its answer names."""
        if classes.PROBABILITIES not in self._outputs:
            return signature
        [maps] = self.session.run([self._zipmap], self._feed(stand_in(signature, rows=1)))
        self._keys = list(maps[0])
        known = TensorSpec(classes.PROBABILITIES, "FP32", (-1, len(self._keys)), labels=classes.names(self._keys))
        outputs = [known if spec.name == known.name else spec for spec in signature.outputs]
        return msgspec.structs.replace(signature, outputs=tuple(outputs))

    def run(self, inputs: dict[str, Array]) -> dict[str, Array]:
        """Runs one batch."""
        if no_rows(self.signature, inputs):
            return empty_outputs(self.signature)
        from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument

        try:
            values = self.session.run(list(self._outputs.values()), self._feed(inputs))
        except InvalidArgument as error:
            raise BadInput("the model does not take this input: check shapes and ranges", detail=str(error)) from error
        return {name: self._array(value) for name, value in zip(self._outputs, values, strict=True)}

    def _feed(self, inputs: dict[str, Array]) -> dict[str, Array]:
        if not self._texts:
            return inputs
        return {name: text_array(a, name) if name in self._texts else a for name, a in inputs.items()}

    def _array(self, value: Any) -> Array:
        if isinstance(value, list):
            return np.array([[row[key] for key in self._keys] for row in value], np.float32)
        return bytes_array(value) if value.dtype == object else value


def _first_axes(session: Any) -> list[str]:
    """The names that the file gives the first axes of its inputs."""
    firsts = [node.shape[0] for node in session.get_inputs() if node.shape]
    return [first for first in firsts if isinstance(first, str)]


def _our_name(name: str, zipmap: str | None, outputs: int) -> str:
    """A ZipMap's pair of outputs is named as every classifier's; other names are the file's."""
    if zipmap is None or outputs != 2:
        return name
    return classes.PROBABILITIES if name == zipmap else classes.LABEL


def _spec(node: Any, name: str | None = None) -> TensorSpec:
    datatype = _DATATYPES.get(node.type)
    if datatype is None:
        raise ModelFileError(f"{node.name!r} is a {node.type}, which cannot be served; convert it to a plain tensor")
    shape = tuple(size if isinstance(size, int) and size >= 0 else -1 for size in node.shape)
    return TensorSpec(name or node.name, datatype, shape)


def library() -> Any:
    """ONNX Runtime, told not to report the names of models to its maker, as its Linux builds do since 1.29."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    return onnxruntime


def open_session(spec: ModelSpec) -> Any:
    """An inference session over the file's bytes. Raises `ModelFileError` with the reason."""
    data = read(spec)
    outside = external_data.locations(data)
    external_data.check(Path(spec.path).parent, outside)
    onnxruntime = library()

    options = session_options(spec.threads)
    if outside:
        options.add_session_config_entry(
            "session.model_external_initializers_file_folder_path", str(Path(spec.path).parent.absolute())
        )
    wanted = providers(spec.device)
    try:
        session = onnxruntime.InferenceSession(data, options, providers=wanted)
    except Exception as error:
        text = f"ONNX Runtime {onnxruntime.__version__} cannot load the file: {_reason(str(error))}"
        raise ModelFileError(text, detail=str(error)) from error
    _check_device(session, spec.device, len(wanted) > 1)
    return session


def _check_device(session: Any, device: str, cuda: bool) -> None:
    """ONNX Runtime goes on without CUDA when it cannot start it; we say so."""
    if not cuda or "CUDAExecutionProvider" in session.get_providers():
        return
    if device != "auto":
        raise ModelFileError(f"device {device} cannot be used: ONNX Runtime's CUDA provider did not start")
    log.warning("ONNX Runtime's CUDA provider did not start, so the model runs on the CPU; device: cpu silences this")


def session_options(threads: int) -> Any:
    """Options for a worker that shares its machine with others: its own threads, and no spinning."""
    onnxruntime = library()

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def providers(device: str) -> list[Any]:
    """ONNX Runtime's execution providers for a device. Raises `MissingExtra` when CUDA is asked for and absent."""
    onnxruntime = library()

    cuda = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    if device == "cpu" or (device == "auto" and not cuda):
        return ["CPUExecutionProvider"]
    if not cuda:
        raise MissingExtra(
            f"device {device} needs ONNX Runtime's CUDA build: pip install onnxruntime-gpu; or set device: cpu"
        )
    number = int(device.partition(":")[2] or 0)
    return [("CUDAExecutionProvider", {"device_id": number}), "CPUExecutionProvider"]


def _reason(text: str) -> str:
    """The end of ONNX Runtime's message, without the source file that it begins with."""
    known = {
        "INVALID_PROTOBUF": "it is truncated or damaged",
        "NOT_IMPLEMENTED": "it uses an operator that this version lacks",
        "NO_SUCHFILE": "a file that it refers to is missing",
        "INVALID_GRAPH": "its graph is not valid",
    }
    return next((reason for code, reason in known.items() if code in text), "its graph or an operator is not supported")


def accepts(obj: object) -> bool:
    """Paths to .onnx files, the bytes of one, and ModelProto objects."""
    if isinstance(obj, (str, Path)):
        return str(obj).endswith(".onnx")
    return isinstance(obj, bytes) or hasattr(obj, "SerializeToString")


def save(obj: Any, folder: Path, example: Any) -> Saved:
    """Writes model.onnx, and beside it the weights that the original keeps beside itself."""
    target = folder / "model.onnx"
    data = _bytes(obj)
    outside = external_data.locations(data)
    if outside:
        if not isinstance(obj, (str, Path)):
            raise ModelFileError("the model keeps its weights outside; save it from the path of its .onnx file")
        _copy_outside(Path(obj).parent, folder, outside)
    target.write_bytes(data)
    return Saved(file=target.name, runtime="onnx", format="onnx", libraries=_libraries())


def _bytes(obj: Any) -> bytes:
    if isinstance(obj, (str, Path)):
        try:
            return Path(obj).read_bytes()
        except OSError as error:
            raise ModelFileError(f"{obj} cannot be read: {error.strerror}") from error
    return obj if isinstance(obj, bytes) else bytes(obj.SerializeToString())


def _copy_outside(source: Path, folder: Path, names: set[str]) -> None:
    external_data.check(source, names)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, folder / name)


def _libraries() -> dict[str, str]:
    onnxruntime = library()

    return {"onnxruntime": onnxruntime.__version__}
