"""What lies at a path: a model folder, a Hugging Face folder, or one model file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penstock.core.errors import ModelFileError
from penstock.repository import gguf_names, language_folders
from penstock.repository.formats import FORMATS
from penstock.repository.hf_files import inside, names_in
from penstock.repository.huggingface import is_huggingface
from penstock.repository.language_files import is_gguf, of_gguf
from penstock.repository.manifest import MANIFEST
from penstock.repository.model_files import of_file
from penstock.repository.model_folders import of_folder
from penstock.repository.text_folders import RUNTIME, folder_of, of_huggingface
from penstock.repository.text_options import FILE
from penstock.repository.trust import Trusted
from penstock.repository.weights import choose


def of_path(path: Path, runtime: str | None, given: Mapping[str, Any], trust: Trusted) -> dict[str, Any]:
    """What is known of the model at a path; `given`: options of the person.

    Raises `ModelFileError` for what is no model or a damaged one, `UntrustedFile` when it may run code unvouched.
    """
    if path.is_dir():
        return _of_folder(path, runtime, given, trust)
    if runtime in (None, language_folders.RUNTIME) and is_gguf(path):
        return of_gguf(path, given)
    home = folder_of(path) if reads_text(runtime) else None
    if home is not None:
        return of_huggingface(home, given, trust, path.relative_to(home).as_posix())
    if runtime == RUNTIME:
        raise ModelFileError(f"{path.name} has no config.json and tokenizer.json beside it, which say how to read text")
    return {**of_file(path, runtime, trust), "options": dict(given)}


def reads_text(runtime: str | None) -> bool:
    """Whether a Hugging Face folder is served as a text model, rather than its file as plain tensors."""
    return runtime in (None, RUNTIME)


def _of_folder(folder: Path, runtime: str | None, given: Mapping[str, Any], trust: Trusted) -> dict[str, Any]:
    if (folder / MANIFEST).exists():
        return of_folder(folder, runtime, given, trust)
    if runtime in (None, language_folders.RUNTIME):
        names = {name: (folder / name).stat().st_size for name in names_in(folder) if name.endswith(".gguf")}
        if names and not _has_weights(folder):
            return of_gguf(folder / gguf_names.pick(names).file, given)
    if not is_huggingface(folder):
        if not any(folder.iterdir()):
            raise ModelFileError(f"the folder {folder.name} is empty; was the model downloaded, or saved elsewhere?")
        raise ModelFileError(f"{folder.name} is a folder without {MANIFEST} or config.json{_files_in(folder)}")
    if language_folders.writes_text(folder, runtime, given):
        return language_folders.of_folder(folder, given)
    if reads_text(runtime):
        return of_huggingface(folder, given, trust)
    options = dict(given)
    wanted = options.pop(FILE, None)
    chosen = choose(names_in(folder), wanted if wanted is None else str(wanted))
    path = inside(folder, chosen.file)
    if path is None or chosen.format not in ("onnx", "openvino"):
        raise ModelFileError(f"{folder.name} holds no ONNX or OpenVINO file for the runtime {runtime}; export it first")
    return {**of_file(path, runtime, trust), "options": options}


def _has_weights(folder: Path) -> bool:
    """Whether there is something to serve besides GGUF files."""
    return any(name.endswith((".safetensors", ".onnx", ".xml")) for name in names_in(folder))


def _files_in(folder: Path) -> str:
    extensions = {extension for format in FORMATS.values() for extension in format.extensions}
    names = sorted(entry.name for entry in folder.iterdir() if entry.suffix.lower() in extensions)
    return f"; name a file in it: {', '.join(names[:5])}" if names else "; save a model there with penstock.save"
