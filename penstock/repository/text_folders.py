"""Text models in Hugging Face folders: which file is served, and as what."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from penstock.core.errors import ModelFileError
from penstock.core.text import TextModel
from penstock.repository.formats import FORMATS, identify
from penstock.repository.hf_files import SUBFOLDERS, check_no_kernel, inside, names_in
from penstock.repository.huggingface import CONFIG, describe, home_of, read_config
from penstock.repository.openvino_ir import weights_of
from penstock.repository.safetensors import check_weights
from penstock.repository.text_options import FILE
from penstock.repository.trust import Trusted
from penstock.repository.vocabulary import TOKENIZER
from penstock.repository.weights import Weights, choose

RUNTIME = "text"


def folder_of(path: Path) -> Path | None:
    """The Hugging Face folder of a text model whose ONNX or IR file this is (in it, or in its onnx/ or openvino/)."""
    if path.suffix not in (".onnx", ".xml"):
        return None
    place = path.parent
    homes = (place.parent, place) if place.name in SUBFOLDERS else (place,)
    return next((home for home in homes if (home / CONFIG).is_file() and (home / TOKENIZER).is_file()), None)


def of_huggingface(folder: Path, given: Mapping[str, Any], trust: Trusted, wanted: str | None = None) -> dict[str, Any]:
    """What is known of the text model in a folder; `given`: options; `wanted`: the file to serve ("onnx/model.onnx").

    Raises `ModelFileError` for what is missing, damaged, unclear or not served, `UntrustedFile` for a pickle that
    nobody vouched for, `ConfigError` for wrong options.
    """
    options = dict(given)
    wanted = options.pop(FILE, None) or wanted
    model = describe(folder, options)
    home = home_of(folder)
    weights = choose(names_in(home), wanted if wanted is None else str(wanted))
    known = _served(home, weights, trust)
    known |= {"runtime": RUNTIME, "format": weights.format}
    return known | {"options": _options(model, home, Path(known["path"]))}


def _served(home: Path, weights: Weights, trust: Trusted) -> dict[str, Any]:
    path = inside(home, weights.file)
    if path is None:
        raise ModelFileError(f"there is no {weights.file}; get the whole folder")
    if weights.format in ("safetensors", "torch-pickle"):
        check_convertible(home)
    match weights.format:
        case "safetensors":
            return {"path": str(home.absolute()), "precision": check_weights(home, weights.file)}
        case "torch-pickle":
            digest = trust.vouching(path, FORMATS["torch-pickle"].title)
            return {"path": str(home.absolute()), "sha256": digest, "trusted": True}
    found = identify(path)
    if found.name != weights.format:
        raise ModelFileError(f"{weights.file} is {found.title}, against its name")
    if weights.format == "openvino":
        weights_of(path)
    return {"path": str(path.absolute())}


def check_convertible(home: Path) -> None:
    """Raises `ModelFileError` for a network that cannot be built from transformers' own code and plain weights."""
    config = read_config(home)
    if config.auto_map:
        raise ModelFileError(
            "config.json names code of its own to build the network with (auto_map), and Penstock runs no code that "
            "comes with a model; serve an ONNX export of it instead: put model.onnx into the folder"
        )
    check_no_kernel(home)
    if config.quantization_config:
        method = str(config.quantization_config.get("quant_method", "another library"))[:80]
        raise ModelFileError(
            f"the weights are quantized by {method}, which cannot be converted; take the original ones, and say "
            "precision: int8"
        )


def _options(model: TextModel, home: Path, served: Path) -> dict[str, Any]:
    """As plain data. The tokenizer is named by its path when it does not lie beside what is served."""
    options: dict[str, Any] = msgspec.to_builtins(model)
    if served not in (home.absolute(), home.absolute() / served.name):
        options["tokenizer"] = str((home / TOKENIZER).absolute())
    return options
