"""Safetensors files: whole, or refused (https://huggingface.co/docs/safetensors, "Format")."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from penstock.core.errors import ModelFileError
from penstock.repository.hf_files import inside, read_json

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
MAX_HEADER = 100_000_000
_PRECISIONS = {"F32": "fp32", "F16": "fp16", "BF16": "bf16", "I8": "int8", "U8": "int8"}


class _Index(msgspec.Struct):
    weight_map: dict[str, str]


class _Tensor(msgspec.Struct):
    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


def check_weights(folder: Path, name: str) -> str:
    """The precision of a folder's weights ("fp32"), or "" when it has no word here.

    `name` and what is raised: as for `sizes_of`.
    """
    return precision_of(sizes_of(folder, name))


def precision_of(sizes: dict[str, int]) -> str:
    """The word for the datatype that most bytes have, or "" where there is none here."""
    return _PRECISIONS.get(max(sizes, key=lambda dtype: sizes[dtype], default=""), "")


def sizes_of(folder: Path, name: str) -> dict[str, int]:
    """Bytes of a folder's weights by datatype ("F16").

    `name`: model.safetensors, or the index of its shards. Raises `ModelFileError` when a file is missing, cut short
    or damaged.
    """
    sizes: dict[str, int] = {}
    for shard in shards(folder, name):
        path = inside(folder, shard)
        if path is None:
            raise ModelFileError(f"{shard} is missing, which {name} names; get the whole folder")
        for dtype, size in _check(path).items():
            sizes[dtype] = sizes.get(dtype, 0) + size
    return sizes


def shards(folder: Path, name: str) -> list[str]:
    """The names of the files that hold the weights."""
    if not name.endswith(".index.json"):
        return [name]
    index = read_json(folder, name, _Index)
    names = sorted(set(index.weight_map.values())) if index else []
    for shard in names:
        if "/" in shard or "\\" in shard or "\0" in shard or not shard.endswith(".safetensors"):
            raise ModelFileError(f"{name} names {shard[:80]!r}, which is no safetensors file beside it")
    if not names:
        raise ModelFileError(f"{name} names no files")
    return names


def _check(path: Path) -> dict[str, int]:
    """Bytes per datatype of a file that is whole."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > min(size - 8, MAX_HEADER):
                raise _truncated(path, 8 + length if size >= 8 else 8, size)
            header = json.loads(file.read(length))
    except OSError as error:
        raise ModelFileError(f"{path.name} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"{path.name} is damaged: its header is no JSON; get it again") from error
    return _tensors(path, header, size - 8 - length)


def _tensors(path: Path, header: Any, room: int) -> dict[str, int]:
    """Bytes per datatype of tensors that fill the `room` after the header, and no more."""
    described = {key: value for key, value in header.items() if key != "__metadata__"} if type(header) is dict else None
    try:
        tensors = msgspec.convert(described, dict[str, _Tensor]).values()
    except msgspec.ValidationError as error:
        raise ModelFileError(f"{path.name} is damaged: its header describes no tensors; get it again") from error
    sizes: dict[str, int] = {}
    for dtype, (start, stop) in ((tensor.dtype, tensor.data_offsets) for tensor in tensors):
        if not 0 <= start <= stop:
            raise ModelFileError(f"{path.name} is damaged: a tensor ends before it begins; get it again")
        sizes[dtype] = sizes.get(dtype, 0) + stop - start
    end = max((tensor.data_offsets[1] for tensor in tensors), default=0)
    if end != room:
        whole = path.stat().st_size
        raise _truncated(path, whole - room + end, whole)
    return sizes


def _truncated(path: Path, needed: int, size: int) -> ModelFileError:
    return ModelFileError(
        f"{path.name} is truncated or damaged: its header describes {needed:,} bytes, and it has {size:,}; get it again"
    )
