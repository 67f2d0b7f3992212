"""Networks as OpenVINO IR, in every precision. Figures behind the choices: docs/decisions/0002-text-engine.md."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from penstock.conversion.closeness import cosines
from penstock.core.errors import ModelFileError
from penstock.core.tensors import Array
from penstock.core.text import Precision
from penstock.runtimes.openvino import library

DYNAMIC_GROUP = 128
SMOOTH = 0.8
"""How far SmoothQuant moves the difficulty from activations to weights."""
INT4_GROUPS = (128, 64, 32, 16)
GOOD_INT4 = 0.01
Feed = dict[str, Array]


class Recipe(NamedTuple):
    """A graph in a precision. `graph`: an openvino.Model; `compress`: keep its floats in 16 bits on the disk.

    `inference`, `dynamic_quantization`: what the runtime must know. `method`: in a few words.
    """

    graph: Any
    compress: bool
    inference: str
    dynamic_quantization: int
    method: str


def capabilities() -> list[str]:
    """What this processor computes natively, as OpenVINO names it ("BF16", "INT8", ...)."""
    return list(library().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"))


def native_bf16() -> bool:
    """Whether this processor multiplies in bf16."""
    return "BF16" in capabilities()


def prepare(
    read: Callable[[], Any],
    precision: Precision,
    calibration: Sequence[Feed],
    trial: Sequence[Feed],
    *,
    transformer: bool = True,
) -> Recipe:
    """The graph in a precision. `read`: gives it fresh; `calibration`: inputs to calibrate on, none for dynamic
    quantization; `trial`: inputs to choose between ways by. Raises `ModelFileError` for what cannot be."""
    match precision:
        case "fp32":
            return Recipe(read(), False, "f32", 0, "fp32 as it is")
        case "fp16":
            return Recipe(read(), True, "f32", 0, "weights in fp16, computed in fp32")
        case "bf16":
            return _bf16(read())
        case "int8":
            return _static(read(), calibration, transformer) if calibration else _dynamic(read())
        case "int4":
            return _int4(read, trial)


def save(recipe: Recipe, folder: Path) -> tuple[str, str]:
    """Writes model.xml and model.bin; returns their names."""
    library().save_model(recipe.graph, str(folder / "model.xml"), compress_to_fp16=recipe.compress)
    return "model.xml", "model.bin"


def _bf16(graph: Any) -> Recipe:
    if not native_bf16():
        raise ModelFileError(
            "this processor does not compute in bf16 (it has neither AMX nor AVX512_BF16), so bf16 would be slower "
            "here and no more exact; take int8, or fp16 for half the size"
        )
    return Recipe(graph, True, "bf16", 0, "weights in 16 bits, computed in bf16")


def _dynamic(graph: Any) -> Recipe:
    nncf = _nncf()
    mode = nncf.CompressWeightsMode.INT8_ASYM
    made = _guarded(lambda: nncf.compress_weights(graph, mode=mode))
    _check_changed(made)
    if native_bf16():
        return Recipe(made, False, "bf16", 0, "weights in int8, computed in bf16")
    return Recipe(made, False, "f32", DYNAMIC_GROUP, "weights in int8, activations quantized on the way")


def _static(graph: Any, calibration: Sequence[Feed], transformer: bool) -> Recipe:
    nncf = _nncf()
    from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters, AdvancedSmoothQuantParameters

    advanced = AdvancedQuantizationParameters(smooth_quant_alphas=AdvancedSmoothQuantParameters(matmul=SMOOTH))
    kind = nncf.ModelType.TRANSFORMER if transformer else None
    made = _guarded(
        lambda: nncf.quantize(
            graph, nncf.Dataset(list(calibration)), model_type=kind,
            subset_size=len(calibration), advanced_parameters=advanced,
        )
    )  # fmt: skip
    _check_changed(made)
    return Recipe(made, False, "f32", 0, f"int8, calibrated on {len(calibration)} rows")


def _int4(read: Callable[[], Any], trial: Sequence[Feed]) -> Recipe:
    """The largest group size that keeps the answers; else the one that keeps them best."""
    wanted = answers(read(), trial)
    found: list[tuple[float, int, Any]] = []
    for group in INT4_GROUPS:
        made = _in_int4(read(), group)
        _check_changed(made)
        found.append((_distance(wanted, answers(made, trial)), group, made))
        if found[-1][0] <= GOOD_INT4:
            break
    _, group, made = min(found, key=lambda each: each[:2]) if found[-1][0] > GOOD_INT4 else found[-1]
    inference, dynamic = ("bf16", 0) if native_bf16() else ("f32", 0)
    return Recipe(made, False, inference, dynamic, f"weights in int4, a scale for every {group}; embeddings in int8")


def _in_int4(graph: Any, group: int) -> Any:
    nncf = _nncf()
    from nncf.quantization.advanced_parameters import AdvancedCompressionParameters, GroupSizeFallbackMode

    fallback = AdvancedCompressionParameters(
        group_size_fallback_mode=GroupSizeFallbackMode.ADJUST, min_adjusted_group_size=8
    )
    mode = nncf.CompressWeightsMode.INT4_ASYM
    return _guarded(lambda: nncf.compress_weights(graph, mode=mode, group_size=group, advanced_parameters=fallback))


def _nncf() -> Any:
    library()
    import logging

    import nncf

    nncf.set_log_level(logging.ERROR)
    return nncf


def _guarded(make: Callable[[], Any]) -> Any:
    try:
        return make()
    except Exception as error:
        text = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise ModelFileError(f"NNCF cannot quantize this network: {text}", detail=str(error)) from error


def _check_changed(graph: Any) -> None:
    """Raises `ModelFileError` when the graph has nothing in 8 bits or less: it had nothing to quantize."""
    small = ("i8", "u8", "i4", "u4")
    if any(_kind(node) in small for node in graph.get_ops()):
        return
    if any(node.get_type_name() == "FakeQuantize" for node in graph.get_ops()):
        return
    raise ModelFileError("this network has nothing to quantize: it multiplies no matrix by weights of its own")


def _kind(node: Any) -> str:
    return str(node.get_element_type().get_type_name()) if node.get_type_name() == "Constant" else ""


def answers(graph: Any, feeds: Iterable[Feed]) -> list[Array]:
    """The first output for some inputs, in fp32."""
    settings = {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0}
    compiled = library().Core().compile_model(graph, "CPU", settings)
    return [np.array(compiled(feed)[0], np.float64) for feed in feeds]


def _distance(wanted: Sequence[Array], found: Sequence[Array]) -> float:
    """1 − the median cosine similarity of the answers as a whole, input by input."""
    return 1 - float(np.median(cosines(wanted, found)))
