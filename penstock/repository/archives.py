"""Zip archives: which model is inside, and whether it is safe to open."""

from __future__ import annotations

import stat
import struct
import zipfile
from collections.abc import Sequence
from pathlib import Path

from penstock.core.errors import ModelFileError

MAX_MEMBERS = 100_000
MAX_RATIO = 100
RATIO_FROM = 256 * 2**20


def recognise(path: Path) -> str:
    """The format of a zip archive that passed `check`: a served format's name, or a description."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, struct.error, OSError, ValueError) as error:
        raise ModelFileError(f"{path.name} is truncated or damaged: it begins as a zip archive") from error
    check(path.name, members, path.stat().st_size)
    return _by_members({member.filename for member in members})


def _by_members(names: set[str]) -> str:
    # torch puts everything under one folder named after the file.
    inner = {name.partition("/")[2] for name in names} | names
    if "archive_format" in inner or "serialized_exported_program.json" in inner:
        return "torch-export"
    if "constants.pkl" in inner and any(name.startswith("code/") for name in inner):
        return "torchscript"
    if "data.pkl" in inner:
        return "torch-pickle"
    if "schema.json" in names:
        return "skops"
    if "model.weights.h5" in names:
        return "a Keras model"
    if names and all(name.endswith(".npy") for name in names):
        return "a NumPy .npz archive"
    return "a zip archive without a known model in it"


def check(name: str, members: Sequence[zipfile.ZipInfo], size: int) -> None:
    """Raises `ModelFileError` for members outside the archive, links, twins, and zip bombs.

    `name`: the archive's, for the message; `size`: the archive's, in bytes.
    """
    if len(members) > MAX_MEMBERS:
        raise ModelFileError(f"{name} holds {len(members)} members; at most {MAX_MEMBERS} are opened")
    seen: set[str] = set()
    for member in members:
        _check_member(name, member)
        if member.filename in seen:
            raise ModelFileError(f"{name} holds {_shown(member)} twice; readers would disagree on which one counts")
        seen.add(member.filename)
    total = sum(member.file_size for member in members)
    if total > RATIO_FROM and total > MAX_RATIO * size:
        raise ModelFileError(f"{name} is a zip bomb: {size} bytes would unpack to {total}")


def _check_member(name: str, member: zipfile.ZipInfo) -> None:
    path = member.filename.replace("\\", "/")
    if path.startswith("/") or ":" in path.partition("/")[0] or ".." in path.split("/"):
        raise ModelFileError(f"{name} holds {_shown(member)}, which points outside the archive; that is refused")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise ModelFileError(f"{name} holds {_shown(member)}, a symbolic link; that is refused")


def _shown(member: zipfile.ZipInfo) -> str:
    return repr(member.filename[:100])
