"""The digest of a source: what a derived model is kept under, so that it is made again when its source changes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from penstock.core.errors import ModelFileError
from penstock.core.model import ModelSpec
from penstock.repository.trust import digest_of
from penstock.repository.weights import beside

# What decides what a text model answers, besides its weights: its network, its tokenizer, and sentence-transformers'
# modules (their folders hold a config.json each).
DESCRIPTION = (
    "config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "modules.json",
    "config_sentence_transformers.json",
)  # fmt: skip
DESCRIPTION_PATTERNS = ("sentence_*_config.json", "*/config.json")
_WEIGHTS = ("*.safetensors", "model.safetensors.index.json", "pytorch_model.bin")


def source_digest(spec: ModelSpec, more: Iterable[str] = ()) -> str:
    """A hexadecimal sha256 over the names and digests of the files that decide what a source answers.

    `more`: names of more files in the model file's folder, such as the external data of an ONNX file. Files that
    are not there are left out. Raises `ModelFileError` when one cannot be read, or the source is gone.
    """
    path = Path(spec.path)
    if not path.exists():
        raise ModelFileError(f"{path.name} is not there any more")
    folder = path if path.is_dir() else path.parent
    names = {_relative(file, folder): file for file in (*_files(spec, path), *(folder / name for name in more))}
    total = hashlib.sha256()
    for name, file in sorted(names.items()):
        if file.is_file():
            total.update(f"{name}\0{digest_of(file)}\n".encode())
    return total.hexdigest()


def _files(spec: ModelSpec, path: Path) -> Iterator[Path]:
    home = path if path.is_dir() else _home(spec, path)
    if path.is_dir():
        yield from (file for pattern in _WEIGHTS for file in path.glob(pattern))
    else:
        yield path
        yield from (path.parent / name for name in beside([file.name for file in path.parent.iterdir()], path.name))
    if home is not None:
        yield from (home / name for name in DESCRIPTION)
        yield from (file for pattern in DESCRIPTION_PATTERNS for file in home.glob(pattern))


def _home(spec: ModelSpec, path: Path) -> Path | None:
    """The folder that describes a text model: where its tokenizer is."""
    tokenizer = spec.options.get("tokenizer", "tokenizer.json")
    return (path.parent / str(tokenizer)).parent if spec.runtime == "text" else None


def _relative(file: Path, folder: Path) -> str:
    try:
        return file.relative_to(folder).as_posix()
    except ValueError:
        return f"../{file.relative_to(folder.parent).as_posix()}" if folder.parent in file.parents else file.name
