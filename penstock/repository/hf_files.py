"""The files of a Hugging Face folder, read with care: JSON of the right shape, and no link that leads out of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from penstock.core.errors import ModelFileError

MAX_JSON = 64 * 2**20
SUBFOLDERS = ("onnx", "openvino")
T = TypeVar("T")


def read_json(folder: Path, name: str, shape: type[T]) -> T | None:
    """A JSON file of the folder, as `shape`; None when there is none.

    Raises `ModelFileError` that names the file, and the place in it, when it is damaged.
    """
    path = inside(folder, name)
    if path is None:
        return None
    try:
        if path.stat().st_size > MAX_JSON:
            raise ModelFileError(f"{name} is over {MAX_JSON // 2**20} MB")
        # The standard library reads what transformers writes: NaN, and integers of any size.
        return msgspec.convert(json.loads(path.read_bytes()), shape)
    except OSError as error:
        raise ModelFileError(f"{name} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"{name} is damaged: {_place(error)}") from error


def _place(error: Exception) -> str:
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)[:200]


def check_no_kernel(folder: Path) -> None:
    """Raises `ModelFileError` when config.json names a kernel of the hub's: transformers would fetch and run it."""
    whole = read_json(folder, "config.json", dict[str, Any]) or {}
    for part in (whole, *(value for value in whole.values() if isinstance(value, dict))):
        for key, value in part.items():
            if key.endswith(("_implementation", "_implementation_internal")) and "/" in str(value):
                raise ModelFileError(
                    f"config.json names a kernel of the hub's ({str(value)[:80]}), which is code, and Penstock runs no "
                    "code that a model brings; take the line out of config.json"
                )


def inside(folder: Path, name: str) -> Path | None:
    """A plain file of the folder by its name ("onnx/model.onnx"), or None.

    Links are followed as far as the folder itself, and in a snapshot of the hub's cache to its blobs, where the cache
    keeps all files. Raises `ModelFileError` for one that leads elsewhere.
    """
    path = folder / name
    if not path.is_file():
        if path.is_symlink():
            raise ModelFileError(f"{name} is a link to nothing; copy or download the file again")
        return None
    real = path.resolve()
    if not any(real.is_relative_to(root) for root in _roots(folder.resolve())):
        raise ModelFileError(f"{name} is a link that leads out of the folder; that is refused, so put the file there")
    return path


def _roots(folder: Path) -> Iterator[Path]:
    """Where a folder's files may really lie. The hub's cache: models--ORG--NAME/{snapshots/COMMIT,blobs}, and blobs
    beside it that several repositories share."""
    yield folder
    for snapshot in (folder, *folder.parents):
        if snapshot.parent.name == "snapshots" and "--" in (repository := snapshot.parent.parent).name:
            yield snapshot
            yield repository / "blobs"
            yield repository.parent / "blobs"
            return


def names_in(folder: Path) -> list[str]:
    """The names of the folder's files, those in onnx/ and openvino/ included ("onnx/model.onnx")."""
    found: list[str] = []
    for place in ("", *SUBFOLDERS):
        where = folder / place
        if where.is_dir():
            found.extend(f"{place}/{entry.name}".lstrip("/") for entry in where.iterdir() if not entry.is_dir())
    return sorted(name for name in found if not name.rpartition("/")[2].startswith("."))
