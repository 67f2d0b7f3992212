"""Files in the hub's cache: their digests, and how they are deleted without taking what others use."""

from __future__ import annotations

import contextlib
import hashlib
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from penstock.repository.trust import digest_of

_SHA256 = re.compile(r"[0-9a-f]{64}")


def digest(folder: Path, files: Sequence[Path]) -> str:
    """ "sha256:..." of a single file, else over the names and digests of several."""
    if len(files) == 1:
        return f"sha256:{_digest(files[0])}"
    total = hashlib.sha256()
    for file in sorted(files):
        total.update(f"{file.relative_to(folder).as_posix()}\0{_digest(file)}\n".encode())
    return f"sha256:{total.hexdigest()}"


def _digest(file: Path) -> str:
    """The cache names the blob of a large file after its digest."""
    name = file.resolve().name
    return name if _SHA256.fullmatch(name) else digest_of(file)


def delete(files: Iterable[Path]) -> None:
    """Deletes files of snapshots, their blobs unless another snapshot has them too, and the folders that are empty
    then. Files that lie elsewhere, or are gone, are left alone."""
    for file in files:
        snapshot = _snapshot(file)
        if snapshot is None or not (file.is_file() or file.is_symlink()):
            continue
        repository = snapshot.parent.parent
        blob = file.resolve()
        file.unlink()
        if blob != file and blob.is_relative_to(repository / "blobs") and blob not in set(_linked(repository)):
            blob.unlink(missing_ok=True)
        _prune(file.parent, repository)


def _snapshot(file: Path) -> Path | None:
    """The snapshot that a file is in: models--ORG--NAME/snapshots/COMMIT."""
    return next(
        (each for each in file.parents if each.parent.name == "snapshots" and "--" in each.parent.parent.name), None
    )


def _linked(repository: Path) -> Iterator[Path]:
    for path in (repository / "snapshots").rglob("*"):
        if path.is_symlink():
            yield path.resolve()


def _prune(folder: Path, repository: Path) -> None:
    """Empty folders up to the repository's, which goes when it holds no snapshot any more."""
    while folder != repository and folder.is_relative_to(repository):
        with contextlib.suppress(OSError):
            folder.rmdir()
        if folder.exists():
            return
        folder = folder.parent
    shutil.rmtree(repository, ignore_errors=True)
    shutil.rmtree(repository.parent / ".locks" / repository.name, ignore_errors=True)
