"""Which of a Hugging Face folder's model files is served: decided by names alone, on a disk or on the hub."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, NamedTuple

from penstock.core.errors import ModelFileError
from penstock.repository.hf_files import SUBFOLDERS
from penstock.repository.safetensors import INDEX, SINGLE

PICKLE = "pytorch_model.bin"
# As optimum writes them, in full precision: what a folder means when it says nothing else.
_PLAIN = (
    "model.onnx", "onnx/model.onnx",
    "openvino_model.xml", "openvino/openvino_model.xml", "model.xml", "openvino/model.xml",
)  # fmt: skip
# And what it derives from them: model_quantized.onnx, model_O2.onnx, openvino_model_qint8_quantized.xml.
_VARIANTS = ("model_", "openvino_model_")
_NOT_SERVED = {
    ".h5": "TensorFlow weights", ".msgpack": "Flax weights", ".ot": "Rust weights",
    ".bin": "a pickle, in pieces", ".pt": "a pickle", ".pth": "a pickle", ".ckpt": "a pickle",
    ".tflite": "TensorFlow Lite", ".mlmodel": "Core ML", ".safetensors": "weights under another name",
}  # fmt: skip
_CONVERT = (
    "save it as safetensors, where transformers is installed: AutoModel.from_pretrained(FOLDER)"
    ".save_pretrained(FOLDER), with the AutoModel class of its task"
)


class Weights(NamedTuple):
    """`file`: the name of what is served ("onnx/model.onnx", "model.safetensors", or the index of its shards)."""

    format: Literal["onnx", "openvino", "safetensors", "torch-pickle"]
    file: str


def choose(names: Collection[str], wanted: str | None = None) -> Weights:
    """The model file to serve of a folder with these names, or the `wanted` one.

    An ONNX or IR file that is there is served as it is; else the safetensors; else the pickle, which needs trust.
    Raises `ModelFileError` when none is served, or when it is not clear which one is meant.
    """
    if wanted is not None:
        return _wanted(names, wanted)
    graphs = [name for name in names if _is_graph(name)]
    plain = [name for name in _PLAIN if name in names]
    weights = next((name for name in (SINGLE, INDEX) if name in names), None)
    if plain or (len(graphs) == 1 and not (weights and _is_variant(graphs[0]))):
        return _graph((plain or graphs)[0])
    # Variants are derived from the weights, and nobody asked for one of them.
    if weights and all(_is_variant(name) for name in graphs):
        return Weights("safetensors", weights)
    if graphs:
        raise _unclear(sorted([*graphs, *([weights] if weights else [])]))
    if PICKLE in names:
        return Weights("torch-pickle", PICKLE)
    raise ModelFileError(_nothing(names))


def beside(names: Collection[str], file: str) -> list[str]:
    """What exporters keep beside a graph: model.bin of model.xml, model.onnx_data or model.onnx.data of model.onnx."""
    if file.endswith(".xml"):
        return [name for name in names if name == f"{file.removesuffix('.xml')}.bin"]
    starts = (f"{file}_data", f"{file}.data")
    return [name for name in names if file.endswith(".onnx") and name.startswith(starts)]


def check_served(file: str) -> None:
    """Raises `ModelFileError` for a file whose name says that it is not served."""
    title = next((title for ending, title in _NOT_SERVED.items() if file.endswith(ending)), "")
    if title and not title.startswith("a pickle"):
        raise ModelFileError(f"{file} is not served here ({title}); {_CONVERT}")


def _is_graph(name: str) -> bool:
    place, _, file = name.rpartition("/")
    return file.endswith((".onnx", ".xml")) and place in ("", *SUBFOLDERS)


def _is_variant(name: str) -> bool:
    return name.rpartition("/")[2].startswith(_VARIANTS)


def _graph(name: str) -> Weights:
    return Weights("onnx" if name.endswith(".onnx") else "openvino", name)


def _wanted(names: Collection[str], wanted: str) -> Weights:
    if wanted not in names:
        known = [name for name in names if _is_graph(name) or name in (SINGLE, INDEX)]
        raise ModelFileError(f"there is no {wanted[:200]}{'; there is ' + ', '.join(known[:8]) if known else ''}")
    if _is_graph(wanted):
        return _graph(wanted)
    if wanted in (SINGLE, INDEX):
        return Weights("safetensors", wanted)
    if wanted == PICKLE:
        return Weights("torch-pickle", wanted)
    raise ModelFileError(f"{wanted[:200]} is no model file that can be chosen here; these are .onnx, .xml and {SINGLE}")


def _unclear(candidates: list[str]) -> ModelFileError:
    return ModelFileError(
        f"it is not clear which model file to serve: {', '.join(candidates[:12])}; name one as the source, as in "
        f"FOLDER/{candidates[0]}, or write options: {{file: {candidates[0]}}}"
    )


def _nothing(names: Collection[str]) -> str:
    others = {name: title for name in sorted(names) for ending, title in _NOT_SERVED.items() if name.endswith(ending)}
    if not others:
        return "there are no weights: no model.safetensors, ONNX or OpenVINO file; get the whole folder"
    listed = ", ".join(f"{name} ({title})" for name, title in list(others.items())[:5])
    return f"there is no model file that Penstock serves: {listed}; {_CONVERT}"
