"""The model cache: folders that were derived from models, made once, whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from penstock.core.errors import SetupError
from penstock.repository.locks import locked
from penstock.repository.saving import share

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_FULL = (errno.ENOSPC, errno.EDQUOT)
_ELSEWHERE = "set PENSTOCK_CACHE to a folder on a disk that has room"


def root() -> Path:
    """$PENSTOCK_CACHE, else penstock in $XDG_CACHE_HOME, else in ~/.cache."""
    own = os.environ.get("PENSTOCK_CACHE")
    if own:
        return Path(own).expanduser().absolute()
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache").absolute() / "penstock"


def derived(key: str) -> Path | None:
    """The folder that was stored under a key (letters, digits, ".", "_" and "-"), or None."""
    folder = _folder(key)
    return folder if folder.is_dir() else None


def keys(prefix: str) -> list[str]:
    """The keys that begin so and have a folder, in order."""
    _folder(prefix)
    return sorted(path.name for path in (root() / "derived").glob(f"{prefix}*") if path.is_dir())


@contextlib.contextmanager
def storing(key: str) -> Iterator[Path | None]:
    """A new folder to fill, which is stored under the key in the end, and vanishes if anything fails.

    One process at a time: others wait, and then get None, because the folder is there by now. What a process that
    was killed left behind is cleared away. Raises `SetupError` when the disk is full or cannot be written.
    """
    target = _folder(key)
    with _disk(), contextlib.ExitStack() as stack:
        _prepare(target.parent, stack, key)
        if target.is_dir():
            yield None
            return
        fresh = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{key}~"))
        try:
            yield fresh
            _flush(fresh)
            fresh.rename(target)
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise


def stored(key: str, make: Callable[[Path], None]) -> Path:
    """The folder under a key, filled by `make` if there is none yet. Raises what `make` and `storing` raise."""
    if derived(key) is None:
        with storing(key) as fresh:
            if fresh is not None:
                make(fresh)
    return _folder(key)


def discard(key: str) -> None:
    """Forgets a folder, because it turned out to be damaged or is wanted no longer."""
    folder = _folder(key)
    if folder.is_dir():
        with locked(_lock(folder.parent, key)):
            shutil.rmtree(folder, ignore_errors=True)


def disk_full() -> SetupError:
    """What a person is told when the model cache's disk is full."""
    return SetupError(f"the disk of the model cache is full; free some space, or {_ELSEWHERE}")


def _folder(key: str) -> Path:
    if _KEY.fullmatch(key) is None:
        raise ValueError(f"not a key of the model cache: {key[:80]!r}")
    return root() / "derived" / key


def _lock(folder: Path, key: str) -> Path:
    return folder / f".{key}.lock"


def _prepare(folder: Path, stack: contextlib.ExitStack, key: str) -> None:
    """Takes the key's lock; whoever left a half-made folder under it is dead by then."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stack.enter_context(locked(_lock(folder, key)))
    except OSError as error:
        if error.errno in _FULL:
            raise
        raise SetupError(f"the model cache cannot be written ({error.strerror}); {_ELSEWHERE}") from error
    for leftover in folder.glob(f".{key}~*"):
        shutil.rmtree(leftover, ignore_errors=True)


@contextlib.contextmanager
def _disk() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise disk_full() from error


def _flush(folder: Path) -> None:
    """Everything on the disk, before the name that says that it is there."""
    share(folder)
    for path in (*(path for path in folder.rglob("*") if path.is_file()), folder):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
