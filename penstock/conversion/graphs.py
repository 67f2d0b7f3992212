"""ONNX graphs of any kind in fewer bits, by onnxruntime.quantization."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from penstock.conversion.machine import has_vnni
from penstock.core.errors import ModelFileError
from penstock.core.tensors import Array
from penstock.core.text import Precision
from penstock.runtimes import external_data

Feed = dict[str, Array]
BLOCK = 32
"""Weights that share a scale in int4."""
_OPSET = 13
# onnx.TensorProto.DataType
_FLOAT, _FLOAT16, _DOUBLE = 1, 10, 11
_MAX_BYTES = 2 * 10**9
_MULTIPLY = ["MatMul", "Gemm", "Attention", "LSTM", "Gather", "EmbedLayerNormalization"]
_QUANTIZED = (
    "QuantizeLinear", "DynamicQuantizeLinear", "MatMulNBits", "MatMulInteger", "QLinearMatMul", "DynamicQuantizeLSTM",
)  # fmt: skip
_TREES = ("TreeEnsembleClassifier", "TreeEnsembleRegressor", "TreeEnsemble")


def write(source: Path, target: Path, precision: Precision, calibration: Sequence[Feed]) -> str:
    """Writes the graph in a precision; returns what was done, in a few words.

    `calibration`: inputs for static quantization; none: dynamic. Raises `ModelFileError` for what cannot be.
    """
    logging.getLogger().setLevel(logging.ERROR)
    model = _read(source)
    if precision != "fp32" and not _has_weights(model):
        raise _nothing(model, precision)
    match precision:
        case "fp32":
            return _save(model, target, "fp32 as it is")
        case "fp16":
            return _save(_in_fp16(model), target, "weights in fp16, computed so where the processor can")
        case "int8" if calibration:
            return _static(model, target, calibration)
        case "int8":
            return _dynamic(model, target)
        case "int4":
            return _int4(model, target)
        case _:
            raise ModelFileError("ONNX Runtime does not compute in bf16 on a CPU; OpenVINO does: runtime: openvino")


def _read(source: Path) -> Any:
    import onnx

    outside = external_data.locations(source.read_bytes())
    external_data.check(source.parent, outside)
    size = source.stat().st_size + sum((source.parent / name).stat().st_size for name in outside)
    if size > _MAX_BYTES:
        raise ModelFileError(f"{source.name} has {size / 1e9:.1f} GB; up to 2 GB can be quantized")
    try:
        model = onnx.load(str(source))
        return model if _opset(model) >= _OPSET else onnx.version_converter.convert_version(model, _OPSET)
    except Exception as error:
        raise ModelFileError(f"the onnx library cannot read {source.name}", detail=str(error)) from error


def _opset(model: Any) -> int:
    return max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=_OPSET)


def _save(model: Any, target: Path, method: str) -> str:
    import onnx

    onnx.save_model(model, str(target))
    return method


def _in_fp16(model: Any) -> Any:
    from onnxruntime.transformers.float16 import convert_float_to_float16

    return _guarded(lambda: convert_float_to_float16(model, keep_io_types=True))


def _dynamic(model: Any, target: Path) -> str:
    if any(node.op_type == "Conv" for node in model.graph.node):
        raise ModelFileError("convolutions are quantized with data alone: give some with --data (calibration: in YAML)")
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with _prepared(model) as source:
        _guarded(lambda: quantize_dynamic(
            source, str(target), per_channel=True, reduce_range=not has_vnni(), weight_type=QuantType.QInt8,
            op_types_to_quantize=_MULTIPLY,
        ))  # fmt: skip
    _check_changed(model, target, "int8")
    return "weights in int8, activations quantized on the way"


def _static(model: Any, target: Path, calibration: Sequence[Feed]) -> str:
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    rows = sum(len(next(iter(feed.values()))) for feed in calibration)
    with _prepared(model) as source:
        _guarded(lambda: quantize_static(
            source, str(target), _reader(calibration), quant_format=QuantFormat.QDQ, per_channel=True,
            reduce_range=not has_vnni(), activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
        ))  # fmt: skip
    _check_changed(model, target, "int8")
    return f"int8, calibrated on {rows} rows"


def _int4(model: Any, target: Path) -> str:
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    quantizer = MatMulNBitsQuantizer(model, block_size=BLOCK, is_symmetric=False, accuracy_level=4)
    _guarded(quantizer.process)
    quantizer.model.save_model_to_file(str(target), use_external_data_format=False)
    _check_changed(model, target, "int4")
    return f"weights in int4, a scale for every {BLOCK}"


def _reader(calibration: Sequence[Feed]) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._feeds: Iterator[Feed] = iter(calibration)

        def get_next(self) -> Feed | None:
            return next(self._feeds, None)

    return Reader()


class _prepared:  # noqa: N801
    """A file of the graph with its shapes inferred and its constants folded, as quantization wants it."""

    def __init__(self, model: Any):
        self._model = model
        self._folder = tempfile.TemporaryDirectory()

    def __enter__(self) -> str:
        import onnx
        from onnxruntime.quantization.shape_inference import quant_pre_process

        target = str(Path(self._folder.name) / "prepared.onnx")
        try:
            quant_pre_process(self._model, target, skip_symbolic_shape=True)
        except Exception:
            # Shapes only help; what cannot be inferred is quantized without.
            onnx.save_model(self._model, target)
        return target

    def __exit__(self, *error: object) -> None:
        self._folder.cleanup()


def _guarded(make: Callable[[], Any]) -> Any:
    try:
        return make()
    except Exception as error:
        text = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise ModelFileError(f"ONNX Runtime cannot quantize this graph: {text}", detail=str(error)) from error


def _has_weights(model: Any) -> bool:
    """Whether a node of the graph multiplies by floats that are in the file."""
    kinds = (*_MULTIPLY, "Conv", "ConvTranspose", "GRU", "RNN")
    weights = {tensor.name for tensor in model.graph.initializer if tensor.data_type in (_FLOAT, _FLOAT16, _DOUBLE)}
    weights |= {name for node in model.graph.node if node.op_type == "Constant" for name in node.output}
    return any(node.op_type in kinds and weights.intersection(node.input) for node in model.graph.node)


def _check_changed(model: Any, target: Path, precision: str) -> None:
    import onnx

    made = onnx.load(str(target), load_external_data=False)
    if not any(node.op_type in _QUANTIZED for node in made.graph.node):
        target.unlink()
        raise _nothing(model, precision)


def _nothing(model: Any, precision: str) -> ModelFileError:
    kinds = sorted({node.op_type for node in model.graph.node})
    if set(kinds) & set(_TREES):
        why = "a tree ensemble compares numbers instead of multiplying by weights, and is fast as it is"
    else:
        why = f"it consists of {', '.join(kinds[:6])}, none of which multiplies a matrix by weights in the file"
    return ModelFileError(f"this graph has nothing to quantize to {precision}: {why}; serve it as it is")
