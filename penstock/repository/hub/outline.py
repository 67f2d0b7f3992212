"""A model's files with their true sizes, but of its weights only the beginnings, which say what is in them: enough to
tell what memory a model takes, before it is downloaded."""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

from penstock.core import gguf
from penstock.core.errors import ModelFileError
from penstock.repository.hub.listing import Entry, Listing

FIRST = 2**20
"""Bytes of a file of weights that are fetched at first; more, where its description is longer."""
MOST = 128 * 2**20
CHUNK = 2**18
_WEIGHTS = (".gguf", ".safetensors", ".bin", ".onnx", ".onnx_data", ".pt", ".pth")


class _Enough(Exception):
    """All bytes that are wanted have come."""


def fetch(listing: Listing, names: Iterable[str]) -> None:
    """Puts outlines of files into the listing's folder for them. Raises whatever huggingface_hub does."""
    for name in names:
        entry = (listing.entries or {}).get(name)
        path = listing.snapshot / name
        if entry is not None and not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            _fetch(listing, entry, path)


def _fetch(listing: Listing, entry: Entry, path: Path) -> None:
    wanted = min(entry.size, FIRST if entry.name.endswith(_WEIGHTS) else MOST)
    with path.open("wb") as file:
        while True:
            _continue(listing, entry, file, wanted)
            file.flush()
            # The rest is a hole, which takes no room on the disk.
            os.truncate(path, entry.size)
            if wanted >= min(entry.size, MOST) or _description(path) <= wanted:
                return
            file.seek(wanted)
            wanted = min(entry.size, MOST, 4 * wanted)


def _continue(listing: Listing, entry: Entry, file: BinaryIO, wanted: int) -> None:
    """Fetches bytes up to `wanted` from where the file stands; what a server sends beyond them is left."""
    from huggingface_hub import constants, hf_hub_url
    from huggingface_hub.file_download import http_get

    utils: Any = importlib.import_module("huggingface_hub.utils")
    constants.DOWNLOAD_CHUNK_SIZE = CHUNK
    headers = {**utils.build_hf_headers(library_name="penstock"), "Accept-Encoding": "identity"}
    if 0 < wanted < entry.size:
        headers["Range"] = f"bytes=0-{wanted - 1}"
    url = hf_hub_url(listing.repo, entry.name, revision=listing.commit)
    until: Any = _Until(file, wanted, wanted < entry.size)
    with contextlib.suppress(_Enough):
        http_get(url, until, resume_size=file.tell(), headers=headers, displayed_filename=entry.name)


class _Until:
    """What is written to a file up to a size; `part`: of a file that goes on."""

    def __init__(self, file: BinaryIO, size: int, part: bool) -> None:
        self._file = file
        self._size = size
        self._part = part

    def write(self, data: bytes) -> int:
        """Raises `_Enough` when a part is full."""
        room = self._size - self._file.tell()
        self._file.write(data[:room])
        if self._part and len(data) >= room:
            raise _Enough
        return len(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _description(path: Path) -> int:
    """Where the description at the beginning of a file of weights ends; its size when that cannot be told yet."""
    with path.open("rb") as file:
        head = file.read(8)
    if path.suffix == ".safetensors":
        return 8 + int.from_bytes(head, "little")
    if not head.startswith(gguf.MAGIC):
        return 0
    size = path.stat().st_size
    try:
        return size - max((tensor.offset + tensor.size for tensor in gguf.read(path).tensors), default=0)
    except ModelFileError:
        return size
