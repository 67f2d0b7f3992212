"""Which engine runs a text model: by its file, its device, and what is installed."""

from __future__ import annotations

import importlib
import importlib.util
import logging
from typing import cast

from penstock.core.errors import ConfigError, ModelFileError
from penstock.core.model import ModelSpec
from penstock.core.text import TextModel
from penstock.runtimes import registry
from penstock.runtimes.text.engines.contract import Engine

log = logging.getLogger("penstock.runtimes.text")

_READS = {"openvino": ("openvino", "onnx"), "onnxruntime": ("onnx",), "torch": ("safetensors",)}
_LIBRARIES = {"openvino": ("openvino", "openvino"), "onnxruntime": ("onnxruntime", "onnx"), "torch": ("torch", "torch")}


def open_engine(spec: ModelSpec, model: TextModel, pad: int) -> Engine:
    """The engine, with the model in it. `pad`: the padding token's id.

    Raises `ModelFileError` when the file cannot run, `MissingExtra`, and `ConfigError` for settings that do not fit.
    """
    name = choose(spec, model)
    try:
        return _open(name, spec, model, pad)
    except ModelFileError as error:
        if not _other(name, spec, model):
            raise
        engine = _open("onnxruntime", spec, model, pad)
        log.warning("%s; ONNX Runtime runs it instead (engine: onnxruntime says so from the start)", error.message)
        return engine


def _open(name: str, spec: ModelSpec, model: TextModel, pad: int) -> Engine:
    registry.require(*_LIBRARIES[name])
    module = importlib.import_module(f"penstock.runtimes.text.engines.{name}")
    return cast(Engine, module.open_engine(spec, model, pad))


def choose(spec: ModelSpec, model: TextModel) -> str:
    """The engine's name. Raises `ConfigError` when the one asked for does not fit the file or the device."""
    name = _by_file(spec) if model.engine == "auto" else model.engine
    if spec.format not in _READS[name]:
        able = " or ".join(other for other, formats in _READS.items() if spec.format in formats)
        raise ConfigError(f"engine: {name} does not read {spec.format} files; {able or 'none'} does")
    if name == "openvino" and spec.device.startswith("cuda"):
        raise ConfigError(f"device: {spec.device} is for safetensors folders and ONNX files; OpenVINO uses the CPU")
    return name


def _by_file(spec: ModelSpec) -> str:
    if spec.format == "openvino":
        return "openvino"
    if spec.format == "onnx":
        cuda = spec.device.startswith("cuda")
        return "openvino" if not cuda and importlib.util.find_spec("openvino") else "onnxruntime"
    if not spec.device.startswith("cuda") and not (spec.device == "auto" and _cuda()):
        raise ModelFileError(
            "a safetensors folder runs as it is on a GPU only; for the CPU it is converted, which needs "
            "pip install 'penstock[convert]'; or set engine: torch, which is slower"
        )
    return "torch"


def _cuda() -> bool:
    if importlib.util.find_spec("torch") is None:
        return False
    import torch

    return bool(torch.cuda.is_available())


def _other(name: str, spec: ModelSpec, model: TextModel) -> bool:
    """Whether ONNX Runtime may try a file that OpenVINO does not take, as some of its operators are not OpenVINO's."""
    plain = model.inference == "f32" and not model.dynamic_quantization
    able = spec.format == "onnx" and importlib.util.find_spec("onnxruntime") is not None
    return name == "openvino" and model.engine == "auto" and able and plain
