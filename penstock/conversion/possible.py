"""What can be derived from a source, by which engine it is served then, and what has to be installed for it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from penstock.conversion import tables
from penstock.conversion.jobs import Engine, Sample
from penstock.core.errors import ConfigError, MissingExtra, ModelFileError
from penstock.core.model import ModelSpec
from penstock.core.text import Precision

EXPORTING = ("torch", "transformers", "safetensors", "onnx")
"""The libraries that make a graph of weights."""
_WEIGHTS = ("safetensors", "torch-pickle")
_GRAPHS = ("onnx", "openvino")
_EXACT = ("", "fp32", "fp16", "bf16")


def is_weights(spec: ModelSpec) -> bool:
    """Whether it is a text model's folder of weights, which no CPU engine runs as it is."""
    return spec.runtime == "text" and spec.format in _WEIGHTS


def check(spec: ModelSpec, precision: Precision, sample: Sample | None) -> None:
    """Raises `ConfigError` or `ModelFileError` for what no conversion can do, before anything is begun."""
    if not is_weights(spec) and spec.format not in _GRAPHS:
        raise ModelFileError(
            f"{spec.name} is a {spec.format} model, whose precision cannot be changed; export it to ONNX first "
            "(scikit-learn: skl2onnx, PyTorch: torch.onnx.export) and name the .onnx file"
        )
    if spec.precision not in _EXACT and spec.format in _GRAPHS and precision != spec.precision:
        raise ConfigError(f"{spec.name} is in {spec.precision} already; make {precision} from the original")
    if sample is not None:
        if precision != "int8":
            raise ConfigError(f"calibration is for precision: int8; {precision} takes no data")
        if spec.runtime == "text" and engine_for(spec, precision) == "onnxruntime":
            raise ConfigError(
                "calibrated int8 is for OpenVINO: on ONNX Runtime it costs transformers too much (a cosine similarity "
                "of 0.94 for MiniLM); leave the calibration out, or set engine: openvino"
            )
        tables.check_file(Path(sample.file))


def engine_for(spec: ModelSpec, precision: Precision) -> Engine:
    """What will run the derived model: text on OpenVINO where it is installed, other files on what runs them now."""
    asked = spec.options.get("engine", "auto")
    if spec.runtime == "text":
        found = importlib.util.find_spec("openvino") is not None
        return "onnxruntime" if asked == "onnxruntime" or not (found or asked == "openvino") else "openvino"
    return "openvino" if spec.runtime == "openvino" or precision == "bf16" else "onnxruntime"


def missing(spec: ModelSpec, engine: Engine, precision: Precision) -> list[str]:
    """The libraries that a conversion needs and that are not installed."""
    needed = [engine, *(EXPORTING if is_weights(spec) else ())]
    if engine == "openvino" and precision in ("int8", "int4"):
        needed.append("nncf")
    if engine == "onnxruntime":
        needed.extend(("onnx", "onnxscript") if precision == "int4" else ("onnx",))
    return [name for name in dict.fromkeys(needed) if importlib.util.find_spec(name) is None]


def check_installed(spec: ModelSpec, precision: Precision) -> None:
    """Raises `MissingExtra` when a conversion is needed and libraries for it lack."""
    lacking = missing(spec, engine_for(spec, precision), precision)
    if lacking:
        raise MissingExtra(
            f"{spec.name} has to be converted once, which needs the extra: pip install 'penstock[convert]' "
            f"({', '.join(lacking)} missing); a folder that penstock quantize wrote elsewhere serves without"
        )
