"""Language models in Hugging Face folders (safetensors) and in OpenVINO IR folders, described without running code."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import msgspec

from penstock.core.errors import ModelFileError
from penstock.core.language import LanguageModel
from penstock.repository.formats import identify
from penstock.repository.hf_files import inside, names_in, read_json
from penstock.repository.language_config import CONFIG, Network, read_generation, read_network
from penstock.repository.language_options import overridden
from penstock.repository.language_tokens import read_tokens
from penstock.repository.openvino_ir import weights_of
from penstock.repository.safetensors import INDEX, SINGLE, sizes_of
from penstock.repository.sentences import MODULES

RUNTIME = "llm"
FOLDER, IR = "causal-lm", "openvino-llm"
GRAPH = "openvino_model.xml"
_IR_FILES = ("openvino_tokenizer.xml", "openvino_detokenizer.xml")
_WIDTHS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1, "I8": 1, "U8": 1}
_NAMES = {"F32": "F32", "F16": "F16", "BF16": "bf16", "F8_E4M3": "fp8", "F8_E5M2": "fp8"}


def writes_text(folder: Path, runtime: str | None, given: Mapping[str, Any]) -> bool:
    """Whether a folder is served as a language model: asked for, or by its network (a task of text models, such as
    embedding, may be asked for of the same files)."""
    if runtime is not None or "task" in given or inside(folder, MODULES):
        return runtime == RUNTIME
    return is_writer(folder)


def is_writer(folder: Path) -> bool:
    """Whether config.json names a network that continues texts. Raises `ModelFileError` when it is damaged."""
    network = read_json(folder, CONFIG, Network)
    return network is not None and network.is_causal


def of_folder(folder: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """What is known of the language model in a folder; `given`: options of the person.

    Raises `ModelFileError` for what is missing, damaged or not served, `ConfigError` for wrong options.
    """
    format = format_of(names_in(folder))
    network = read_network(folder, format == IR)
    found = _weights(folder, network, format) | network.facts() | read_tokens(folder, network, format == FOLDER)
    found |= _generation(folder, network) | {"license": _license(folder), "title": folder.resolve().name}
    if "snapshots" in folder.parts:
        found["title"] = folder.parent.parent.name.rpartition("--")[2]
    model = overridden(msgspec.convert(found, LanguageModel), given)
    options: dict[str, Any] = msgspec.to_builtins(model)
    return {"path": str(folder.absolute()), "format": format, "runtime": RUNTIME, "options": options}


def format_of(names: Collection[str]) -> str:
    """Which kind of folder it is, by its files' names: an IR that is there is served as it is.

    Raises `ModelFileError` when it is none.
    """
    if GRAPH in names:
        missing = [name for name in _IR_FILES if name not in names]
        if missing:
            raise ModelFileError(
                f"the folder has {GRAPH} and no {missing[0]}; export it again: optimum-cli export openvino"
            )
        return IR
    if SINGLE in names or INDEX in names:
        return FOLDER
    others = [name for name in sorted(names) if name.endswith((".bin", ".pth", ".pt", ".onnx", ".gguf"))]
    has = f" (there is {', '.join(others[:4])})" if others else ""
    raise ModelFileError(
        f"there are no weights of a language model: no {SINGLE}, and no OpenVINO IR{has}; get the whole folder, or "
        "name a GGUF file"
    )


def weights_name(names: Collection[str]) -> str:
    """The safetensors file, or the index of its shards."""
    return SINGLE if SINGLE in names else INDEX


def _weights(folder: Path, network: Network, format: str) -> dict[str, Any]:
    """Sizes of the weights, whole files only."""
    if format == IR:
        return _graph(folder, network)
    sizes = sizes_of(folder, weights_name(names_in(folder)))
    most = max(sizes, key=lambda dtype: sizes[dtype], default="")
    # Packed weights of other libraries hold several numbers in one element.
    packed = network.quantization
    count = 0 if packed else sum(size // _WIDTHS.get(dtype, 4) for dtype, size in sizes.items())
    return {
        "weights_bytes": sum(sizes.values()),
        "parameters": count,
        "quantization": packed or _NAMES.get(most, most),
    }


def _graph(folder: Path, network: Network) -> dict[str, Any]:
    for name in (GRAPH, *_IR_FILES):
        path = inside(folder, name)
        if path is None or identify(path).name != "openvino":
            raise ModelFileError(f"{name} is no OpenVINO IR; export it again: optimum-cli export openvino")
        weights_of(path)
    size = (folder / GRAPH).with_suffix(".bin").stat().st_size
    return {"weights_bytes": size, "quantization": network.graph_precision(folder)}


def _generation(folder: Path, network: Network) -> dict[str, Any]:
    generation = read_generation(folder)
    ends = generation.ends() or network.ends()
    return {"eos": ends, "defaults": generation.defaults()}


def _license(folder: Path) -> str:
    """As the card says it: README.md begins with lines such as "license: apache-2.0" between two of three dashes."""
    path = inside(folder, "README.md")
    if path is None:
        return ""
    with path.open(errors="replace") as file:
        head = file.read(20_000)
    if not head.startswith("---\n"):
        return ""
    lines = head[4:].partition("\n---")[0].splitlines()
    return next((line.partition(":")[2].strip(" '\"")[:200] for line in lines if line.startswith("license:")), "")
