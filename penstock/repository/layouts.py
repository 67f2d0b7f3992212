"""The first and last bytes of model files: enough to tell what they are and whether they are whole."""

from __future__ import annotations

import bz2
import lzma
import os
import re
import zlib
from collections.abc import Callable
from typing import BinaryIO

_TORCH_LEGACY = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
_UBJ = b"{L\x00\x00\x00\x00\x00\x00\x00\x07learner"
_XGBOOST_JSON = b'{"learner":'
# ModelProto's fields (onnx.proto3): 7 is the graph, without which there is no model.
_ONNX_FIELDS = frozenset((1, 2, 3, 4, 5, 6, 7, 8, 14, 20, 25, 26))
_GRAPH = 7

_NOT_SERVED = {
    b"\x89HDF\r\n\x1a\n": "an HDF5 (Keras) model",
    b"\x93NUMPY": "a NumPy array",
    b"CBM1": "a CatBoost model",
    b"PAR1": "a Parquet table",
}
_DECOMPRESSORS: dict[bytes, Callable[[bytes], bytes] | None] = {
    b"\x1f\x8b": lambda data: zlib.decompressobj(31).decompress(data, 16),
    b"BZh": lambda data: bz2.BZ2Decompressor().decompress(data, 16),
    b"\xfd7zXZ\x00": lambda data: lzma.LZMADecompressor().decompress(data, 16),
    b"\x5d\x00\x00": lambda data: lzma.LZMADecompressor().decompress(data, 16),
    b"x\x01": lambda data: zlib.decompressobj().decompress(data, 16),
    b"x\x5e": lambda data: zlib.decompressobj().decompress(data, 16),
    b"x\x9c": lambda data: zlib.decompressobj().decompress(data, 16),
    b"x\xda": lambda data: zlib.decompressobj().decompress(data, 16),
    b"\x04\x22\x4d\x18": None,
}


# A declaration and comments may come before it.
_FIRST_TAG = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<([A-Za-z][\w:.-]*)", re.DOTALL)


class Truncated(Exception):
    """A file that begins as a known format and does not end as one; the message names the format."""


def recognise(head: bytes, file: BinaryIO, size: int) -> str | None:
    """The format of a file from its first bytes: a served format's name, "zip", the description of one
    that is not served, or None. Raises `Truncated`."""
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    if head.startswith(b"GGUF"):
        return "gguf"
    for magic, title in _NOT_SERVED.items():
        if head.startswith(magic):
            return title
    if head[4:8] == b"TFL3":
        return "a TensorFlow Lite model"
    if tag := _FIRST_TAG.match(head):
        return _xml(tag.group(1), file)
    if _is_safetensors(head, size):
        return "a safetensors file (weights without a network)"
    return _pickled(head, file) or _booster(head, file) or _onnx(head, file, size)


def _xml(tag: bytes, file: BinaryIO) -> str:
    """By its first element."""
    if tag == b"net":
        return _ending(file, b"</net>", "openvino", "an OpenVINO IR model")
    return "a PMML model" if tag == b"PMML" else "an XML file, but no OpenVINO IR"


def _pickled(head: bytes, file: BinaryIO) -> str | None:
    if head.startswith(_TORCH_LEGACY):
        return "torch-legacy"
    if _is_pickle(head):
        return _ending(file, b".", "pickle", "a Python pickle")
    for magic, decompress in _DECOMPRESSORS.items():
        if head.startswith(magic):
            return "joblib" if decompress is None or _holds_pickle(head, decompress) else None
    return None


def _is_pickle(head: bytes) -> bool:
    return len(head) > 1 and head[0] == 0x80 and 2 <= head[1] <= 5


def _holds_pickle(head: bytes, decompress: Callable[[bytes], bytes]) -> bool:
    try:
        return _is_pickle(decompress(head))
    except (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError):
        return False


def _booster(head: bytes, file: BinaryIO) -> str | None:
    if head.startswith(_UBJ):
        return _ending(file, b"}", "xgboost-ubj", "an XGBoost UBJSON model")
    # XGBoost writes no spaces; other tools may have pretty-printed the file since.
    if b"".join(head[:200].split()).startswith(_XGBOOST_JSON):
        return _ending(file, b"}", "xgboost-json", "an XGBoost JSON model")
    if head.startswith(b"tree\n") and b"version=" in head[:200]:
        return "lightgbm-text"
    return None


def _ending(file: BinaryIO, last: bytes, name: str, title: str) -> str:
    file.seek(-min(64, file.seek(0, os.SEEK_END)), os.SEEK_END)
    if not file.read().rstrip().endswith(last):
        raise Truncated(title)
    return name


def _is_safetensors(head: bytes, size: int) -> bool:
    length = int.from_bytes(head[:8], "little")
    return head[8:10] == b'{"' and 2 <= length <= size - 8


def _onnx(head: bytes, file: BinaryIO, size: int) -> str | None:
    """ONNX has no magic number: a protobuf whose first field is a small format version."""
    if len(head) < 3 or head[0] != 0x08 or not 1 <= head[1] <= 64 or head[2] >> 3 not in _ONNX_FIELDS:
        return None
    seen, whole = _walk(file, size)
    if not whole:
        raise Truncated("an ONNX model")
    return "onnx" if _GRAPH in seen and seen <= _ONNX_FIELDS else None


def _walk(file: BinaryIO, size: int) -> tuple[set[int], bool]:
    """The numbers of a message's fields, and whether the last ends where the file does."""
    seen: set[int] = set()
    at = 0
    while at < size:
        file.seek(at)
        step = file.read(20)
        tag, used = _varint(step)
        length = _length(tag & 7, step[used:]) if used else None
        if length is None:
            return seen, False
        seen.add(tag >> 3)
        at += used + length
    return seen, at == size


def _length(wire: int, rest: bytes) -> int | None:
    """How many bytes a field takes after its tag; None when that cannot be."""
    value, used = _varint(rest)
    if wire == 2:
        return used + value if used else None
    return {0: used or None, 1: 8, 5: 4}.get(wire)


def _varint(data: bytes) -> tuple[int, int]:
    """A number and how many bytes it took; (0, 0) when it does not end."""
    value = 0
    for index, byte in enumerate(data[:10]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, index + 1
    return 0, 0
