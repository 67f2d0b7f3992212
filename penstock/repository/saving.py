"""Writing model folders: whole or not at all, and never over something that is no model."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from penstock.core.errors import ConfigError
from penstock.repository.manifest import MANIFEST, Manifest


def now() -> str:
    """The present moment, as manifests write it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Writes penstock.json, indented for people."""
    (folder / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")


@contextlib.contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A new folder beside `target` that takes its place in the end, and vanishes if anything fails.

    Raises `ConfigError` when `target` exists and is neither a model folder nor empty.
    """
    check_target(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}-"))
    try:
        yield fresh
        share(fresh)
        _swap(fresh, target)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise


def check_target(target: Path) -> None:
    """Raises `ConfigError` when writing a model folder there would destroy something else."""
    if not os.path.lexists(target):
        return
    if target.is_symlink() or not target.is_dir():
        raise ConfigError(f"{target} exists and is no folder; choose another path, models are saved as folders")
    if not (target / MANIFEST).is_file() and any(target.iterdir()):
        raise ConfigError(f"{target} exists and is no model folder (it has no {MANIFEST}); choose another path")


def _swap(fresh: Path, target: Path) -> None:
    """Puts one folder in another's place; the old one is moved aside first and back if that fails."""
    if not target.exists():
        fresh.rename(target)
        return
    aside = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}-old-"))
    old = target.rename(aside / target.name)
    try:
        fresh.rename(target)
    except OSError:
        old.rename(target)
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def share(folder: Path) -> None:
    """Opens a folder of mkdtemp, which closes it to everyone else, as far as other new folders are open."""
    mask = os.umask(0o022)
    os.umask(mask)
    folder.chmod(0o777 & ~mask)
