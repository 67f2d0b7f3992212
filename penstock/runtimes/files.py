"""A model file's bytes, read once: what was checked is what is loaded."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from penstock.core.errors import ModelFileError, UntrustedFile
from penstock.core.model import ModelSpec


def read(spec: ModelSpec) -> bytes:
    """The file's bytes. Raises `ModelFileError` when it cannot be read, or is not what was described."""
    try:
        data = Path(spec.path).read_bytes()
    except OSError as error:
        raise ModelFileError(f"the model file cannot be read: {error.strerror}") from error
    if spec.sha256 is not None and digest(data) != spec.sha256:
        raise ModelFileError("the model file has changed: its sha256 is not the one that was checked")
    return data


def read_trusted(spec: ModelSpec, what: str) -> bytes:
    """The bytes of a file that may run code: exactly those that somebody vouched for.

    What such a file names may lie in the working folder, as when a notebook wrote it.
    Raises `UntrustedFile` when nobody did, `ModelFileError` when the file is another one by now.
    """
    if spec.trusted and spec.sha256 is not None:
        importable(str(Path.cwd()))
        return read(spec)
    data = read(spec)
    raise UntrustedFile.naming(what, digest(data))


def importable(folder: str) -> None:
    """Makes a folder's modules importable, after all others: none of them stands in for a library."""
    if folder not in sys.path:
        sys.path.append(folder)


def digest(data: bytes) -> str:
    """The sha256 of some bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()
