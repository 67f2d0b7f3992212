"""Weights that an ONNX file keeps outside itself: found by walking its protobuf, and kept in its folder."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from penstock.core.errors import ModelFileError

# Message → field number → message inside it; only the paths that lead to tensors (onnx.proto3).
_INSIDE: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
    "entry": {},
}


def locations(data: bytes) -> set[str]:
    """The files that the model's tensors point at. Raises `ModelFileError` for damaged protobuf."""
    found: set[str] = set()
    pending = [("model", 0, len(data))]
    view = memoryview(data)
    while pending:
        kind, start, end = pending.pop()
        if kind == "entry":
            key, value = _entry(view, start, end)
            if key == b"location":
                found.add(value.decode(errors="replace"))
            continue
        inside = _INSIDE[kind]
        pending.extend((inside[number], at, stop) for number, at, stop in _fields(view, start, end) if number in inside)
    return found


def _entry(view: memoryview, start: int, end: int) -> tuple[bytes, bytes]:
    values = {number: bytes(view[at:stop]) for number, at, stop in _fields(view, start, end)}
    return values.get(1, b""), values.get(2, b"")


def _fields(view: memoryview, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Length-delimited fields between two offsets: number, start, end; others are stepped over."""
    while at < end:
        tag, at = _varint(view, at, end)
        wire = tag & 7
        if wire == 2:
            size, at = _varint(view, at, end)
            if size > end - at:
                raise _damaged()
            yield tag >> 3, at, at + size
            at += size
        elif wire == 0:
            _, at = _varint(view, at, end)
        elif wire in (1, 5):
            at += 8 if wire == 1 else 4
        else:
            raise _damaged()
    if at != end:
        raise _damaged()


def _varint(view: memoryview, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift < 70:
        byte = view[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise _damaged()


def _damaged() -> ModelFileError:
    return ModelFileError("the ONNX file is truncated or damaged")


def check(folder: Path, names: set[str]) -> None:
    """Raises `ModelFileError` unless every location is a plain file inside the folder, reached by no link."""
    for name in sorted(names):
        parts = PurePosixPath(name).parts
        shown = name[:100]
        if not parts or name.startswith("/") or "\\" in name or ":" in name or "\0" in name or ".." in parts:
            raise ModelFileError(f"the model keeps weights in {shown!r}, outside its folder; that is refused")
        _check_parts(folder, parts, shown)


def _check_parts(folder: Path, parts: tuple[str, ...], shown: str) -> None:
    where = folder
    for index, part in enumerate(parts):
        where = where / part
        try:
            status = os.lstat(where)
        except OSError as error:
            raise ModelFileError(f"the model keeps weights in {shown!r}, which is not beside it") from error
        last = index == len(parts) - 1
        if not (stat.S_ISREG(status.st_mode) if last else stat.S_ISDIR(status.st_mode)):
            raise ModelFileError(f"the model keeps weights in {shown!r}, which is a link or no file; that is refused")
        if last and status.st_nlink > 1:
            raise ModelFileError(f"the model keeps weights in {shown!r}, a hard link to another file; that is refused")
