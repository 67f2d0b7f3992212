"""What a model file is, by its first bytes: never by its name, which must only not contradict them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from penstock.core.errors import ModelFileError
from penstock.repository import archives, layouts


class Format(NamedTuple):
    """A format of model files.

    `title`: for people. `runs_code`: loading it runs code. `extensions`: names it may carry; any other
    name is fine too, unless it belongs to another format.
    """

    name: str
    title: str
    runs_code: bool
    extensions: tuple[str, ...]


_PICKLES = (".pkl", ".pickle", ".joblib")
_TORCH = (".pt", ".pth", ".bin", ".ckpt")
_COMPRESSED = (".gz", ".z", ".bz2", ".xz", ".lzma", ".lz4")
_SERVED = (
    Format("onnx", "an ONNX model", False, (".onnx",)),
    Format("openvino", "an OpenVINO IR model", False, (".xml",)),
    Format("pickle", "a Python pickle", True, _PICKLES),
    Format("joblib", "a compressed joblib pickle", True, (*_PICKLES, *_COMPRESSED)),
    Format("cloudpickle", "a pickled Python function", True, _PICKLES),
    Format("skops", "a skops file", False, (".skops",)),
    Format("xgboost-json", "an XGBoost JSON model", False, (".json",)),
    Format("xgboost-ubj", "an XGBoost UBJSON model", False, (".ubj",)),
    Format("lightgbm-text", "a LightGBM text model", False, (".txt",)),
    Format("torchscript", "a TorchScript archive", True, (*_TORCH, ".ts")),
    Format("torch-export", "a torch.export archive", True, (".pt2", ".pt")),
    Format("torch-pickle", "a pickled PyTorch object", True, _TORCH),
    Format("gguf", "a GGUF language model", False, (".gguf",)),
    Format("torch-legacy", "a pickled PyTorch object (old layout)", True, _TORCH),
)
FORMATS: dict[str, Format] = {format.name: format for format in _SERVED}

# Read from a file's bytes; what a manifest may call them besides, because the bytes cannot tell.
SYNONYMS: dict[str, frozenset[str]] = {"pickle": frozenset({"pickle", "cloudpickle"})}


def identify(path: Path) -> Format:
    """The file's format. Raises `ModelFileError` when it is empty, cut short, not known or not served,
    or when its name claims another format."""
    name = _name(path)
    found = FORMATS.get(name)
    if found is None:
        raise ModelFileError(f"{path.name} is {name}, which Penstock does not serve; {_SERVES}")
    _check_extension(path, found)
    return found


_SERVES = (
    "it serves ONNX, OpenVINO (.xml), scikit-learn (joblib, pickle, skops), XGBoost (.json, .ubj), LightGBM (.txt), "
    "PyTorch (torch.export, TorchScript) and GGUF files, and Hugging Face folders"
)


def _name(path: Path) -> str:
    """A served format's name, or an article and a noun for one that is known but not served."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(4096)
            if not head:
                raise ModelFileError(f"{path.name} is empty")
            name = layouts.recognise(head, file, size)
            if name == "zip":
                return archives.recognise(path)
    except OSError as error:
        raise ModelFileError(f"{path.name} cannot be read: {error.strerror}") from error
    except layouts.Truncated as error:
        raise ModelFileError(f"{path.name} is truncated or damaged: it begins as {error}") from error
    if name is None:
        raise ModelFileError(f"{path.name} is no model file that Penstock knows by its content; {_SERVES}")
    return name


def _check_extension(path: Path, found: Format) -> None:
    extension = path.suffix.lower()
    claimed = [format for format in _SERVED if extension in format.extensions]
    if claimed and extension not in found.extensions:
        fitting = " or ".join(found.extensions)
        raise ModelFileError(
            f"{path.name} is {found.title}, but its name claims {claimed[0].title}; if that is what you want to serve, "
            f"give it the extension {fitting}"
        )
