"""The manifest of a model folder: penstock.json, strict about every key."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Any, Literal

import msgspec

from penstock.core.errors import ModelFileError
from penstock.core.signature import Signature
from penstock.core.tensors import DTYPES

MANIFEST = "penstock.json"
MAX_BYTES = 16 * 2**20
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a model folder says about itself.

    `penstock`: the manifest's own version. `file`: the model file's name in the folder, its `sha256`
    in hexadecimal. `example`: rows as the predict door takes them. `libraries`: versions that wrote
    it. `options`: what its runtime needs to load it. `files`: the other files that it needs, by name, with
    their sha256. `precision`: of the weights. `derived_from`: what it was converted or quantized from, and by
    what. `report`: what that cost in quality and gained in speed.
    """

    penstock: Literal[1] = 1
    name: str
    version: str = "1"
    runtime: str
    format: str
    file: str
    sha256: str
    signature: Signature | None = None
    example: list[Any] | None = None
    classes: list[Any] | None = None
    output: Literal["label", "probabilities", "both"] = "both"
    created_at: str = ""
    libraries: dict[str, str] = {}
    options: dict[str, Any] = {}
    files: dict[str, str] = {}
    precision: str = ""
    derived_from: dict[str, str] = {}
    report: dict[str, Any] | None = None


def read_manifest(folder: Path) -> Manifest:
    """A folder's manifest. Raises `ModelFileError` that names the place of what is wrong."""
    path = folder / MANIFEST
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ModelFileError(f"{MANIFEST} is over {MAX_BYTES} bytes")
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except OSError as error:
        raise ModelFileError(f"{MANIFEST} cannot be read: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ModelFileError(f"{MANIFEST} is wrong: {error}") from error
    _check(manifest)
    return manifest


def _check(manifest: Manifest) -> None:
    for key in ("name", "version", "file"):
        value = getattr(manifest, key)
        if NAME.fullmatch(value) is None:
            raise ModelFileError(
                f"{MANIFEST} is wrong: {key} takes letters, digits, '.', '_' and '-', not {value[:80]!r} - at `$.{key}`"
            )
    if _SHA256.fullmatch(manifest.sha256) is None:
        raise ModelFileError(f"{MANIFEST} is wrong: sha256 must be 64 hexadecimal digits - at `$.sha256`")
    for name, digest in manifest.files.items():
        if NAME.fullmatch(name) is None or _SHA256.fullmatch(digest) is None:
            raise ModelFileError(f"{MANIFEST} is wrong: files takes plain names and their sha256 - at `$.files`")
    if manifest.signature is not None:
        _check_signature(manifest.signature)


def _check_signature(signature: Signature) -> None:
    for side in ("inputs", "outputs"):
        specs = getattr(signature, side)
        names = [spec.name for spec in specs]
        if len(set(names)) != len(names):
            raise ModelFileError(f"{MANIFEST} is wrong: two {side} have one name - at `$.signature.{side}`")
        for index, spec in enumerate(specs):
            where = f"`$.signature.{side}[{index}]`"
            if spec.datatype not in DTYPES:
                raise ModelFileError(f"{MANIFEST} is wrong: unknown datatype {spec.datatype[:32]!r} - at {where}")
            if any(size < -1 for size in spec.shape) or (signature.batched and not spec.shape):
                raise ModelFileError(f"{MANIFEST} is wrong: impossible shape {list(spec.shape)} - at {where}")


def model_file(folder: Path, manifest: Manifest) -> Path:
    """The file that the manifest names. Raises `ModelFileError` unless it is a plain file in the folder."""
    return plain_file(folder, manifest.file)


def plain_file(folder: Path, name: str) -> Path:
    """A file that a manifest names. Raises `ModelFileError` unless it is a plain file in the folder."""
    path = folder / name
    try:
        mode = os.lstat(path).st_mode
    except OSError as error:
        raise ModelFileError(f"{MANIFEST} names {name}, which is not in the folder") from error
    if not stat.S_ISREG(mode):
        raise ModelFileError(f"{MANIFEST} names {name}, which is a link or no file; that is refused")
    return path
