"""A model folder of Penstock's own, described: its manifest says what is in it, and digests hold it to that."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from penstock.core.errors import ModelFileError
from penstock.core.text import TextModel
from penstock.repository.formats import FORMATS, SYNONYMS, Format, identify
from penstock.repository.manifest import MANIFEST, Manifest, model_file, plain_file, read_manifest
from penstock.repository.model_files import vouched
from penstock.repository.text_folders import RUNTIME
from penstock.repository.text_options import overridden
from penstock.repository.trust import Trusted, digest_of

_KEPT = ("name", "version", "format", "signature", "example", "classes", "output", "precision")


def of_folder(folder: Path, runtime: str | None, given: Mapping[str, Any], trust: Trusted) -> dict[str, Any]:
    """What is known of the model in a folder with a manifest; `given`: options of the person, which win.

    Raises `ModelFileError` when a file is missing or not the one that the manifest describes, `UntrustedFile` when
    it may run code and nobody vouched for it.
    """
    manifest = read_manifest(folder)
    path = model_file(folder, manifest)
    format = _agreed(manifest, identify(path))
    _check_digest(path, manifest.sha256)
    for name, digest in manifest.files.items():
        _check_digest(plain_file(folder, name), digest)
    known = {key: getattr(manifest, key) for key in _KEPT} | vouched(format, path, trust)
    known |= {"path": str(path.absolute()), "runtime": runtime or manifest.runtime, "details": _details(manifest)}
    return known | {"options": _options(manifest, known["runtime"], given)}


def _check_digest(path: Path, expected: str) -> None:
    digest = digest_of(path)
    if digest != expected:
        raise ModelFileError(
            f"{path.name} is not the file that {MANIFEST} describes (sha256 {digest}, not {expected}); "
            "save the model again, or restore the file"
        )


def _agreed(manifest: Manifest, found: Format) -> Format:
    if manifest.format not in SYNONYMS.get(found.name, {found.name}):
        raise ModelFileError(f"{MANIFEST} says that {manifest.file} is {manifest.format}, but it is {found.title}")
    if found.name == "openvino":
        _check_listed(manifest, str(Path(manifest.file).with_suffix(".bin")), "its weights")
    return FORMATS[manifest.format]


def _check_listed(manifest: Manifest, name: str, what: str) -> None:
    if name not in manifest.files:
        raise ModelFileError(f"{MANIFEST} is wrong: {what} are in {name}, which needs a digest - at `$.files`")


def _options(manifest: Manifest, runtime: str, given: Mapping[str, Any]) -> dict[str, Any]:
    if RUNTIME not in (runtime, manifest.runtime):
        return {**manifest.options, **given}
    try:
        made = msgspec.convert(manifest.options, TextModel)
    except msgspec.ValidationError as error:
        raise ModelFileError(f"{MANIFEST} is wrong: {error} - in `$.options`") from error
    # What lies beyond was never tried, and a graph may answer it with nonsense.
    model = overridden(manifest.options, given, made.max_length)
    _check_listed(manifest, model.tokenizer, "its words")
    options: dict[str, Any] = msgspec.to_builtins(model)
    return options


def _details(manifest: Manifest) -> dict[str, Any]:
    said = {"derived_from": manifest.derived_from, "report": manifest.report}
    return {key: value for key, value in said.items() if value}
