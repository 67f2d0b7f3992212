"""Frames: a length prefix, a msgpack header (a message), and raw tensor bytes. No pickle.

    uint32 header length · uint64 body length · header · body

The body's top bit set: the body lies in memory that both sides share (see `arena.py`).

Every tensor in the body starts at a multiple of `ALIGN`, so arrays over it are aligned.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from penstock.core.tensors import Array, Tensor, decode_bytes, encode_bytes, from_raw
from penstock.scheduling.messages import TensorHead

PREFIX = struct.Struct("<IQ")
ALIGN = 16
MAX_HEADER = 64 * 2**20
MAX_BODY = 16 * 2**30
SHARED = 2**63
_encoder = msgspec.msgpack.Encoder()
_PADS = [b"\0" * size for size in range(ALIGN)]

Buffer = bytes | memoryview


def pack(message: Any, body: Sequence[Buffer] = (), nbytes: int = 0) -> list[Buffer]:
    """The buffers of one frame, in order; `nbytes` is the body's total length."""
    header = _encoder.encode(message)
    return [PREFIX.pack(len(header), nbytes) + header, *body]


def shared(buffers: Sequence[Buffer], nbytes: int) -> bytes:
    """The same frame, its body left out: the receiver finds it in shared memory."""
    header = bytes(buffers[0][PREFIX.size :])
    return PREFIX.pack(len(header), nbytes | SHARED) + header


class Body:
    """A frame's tensors on their way out: heads for the message, buffers for the socket."""

    __slots__ = ("buffers", "heads", "nbytes")

    def __init__(self) -> None:
        self.heads: list[TensorHead] = []
        self.buffers: list[Buffer] = []
        self.nbytes = 0

    def add(self, name: str, datatype: str, arrays: Sequence[Array], shape: tuple[int, ...]) -> None:
        """Appends arrays that lie behind one another as one tensor of that shape (no copy)."""
        if datatype == "BYTES":
            parts: list[Buffer] = [encode_bytes(array) for array in arrays]
            size = sum(map(len, parts))
        else:
            parts = [np.ascontiguousarray(array).reshape(-1).view(np.uint8).data for array in arrays if array.size]
            size = sum(map(len, parts))
        self.heads.append(TensorHead(name, datatype, shape, size))
        self.buffers.extend(parts)
        pad = -size % ALIGN
        if pad:
            self.buffers.append(_PADS[pad])
        self.nbytes += size + pad


def body_of(tensors: Mapping[str, Tensor]) -> Body:
    """A body of whole tensors, in order."""
    body = Body()
    for name, (datatype, array) in tensors.items():
        body.add(name, datatype, [array], array.shape)
    return body


def unpack(heads: Iterable[TensorHead], body: memoryview) -> dict[str, Tensor]:
    """Tensors over a received body (no copy, but for BYTES). Raises `BadInput` when they do not fit."""
    tensors: dict[str, Tensor] = {}
    at = 0
    for head in heads:
        raw = body[at : at + head.nbytes]
        array = decode_bytes(raw, head.shape) if head.datatype == "BYTES" else from_raw(head.datatype, head.shape, raw)
        tensors[head.name] = Tensor(head.datatype, array)
        at += head.nbytes + (-head.nbytes % ALIGN)
    return tensors


class FrameReader:
    """Cuts a byte stream into frames, whole: `split` parts header and body."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._need = PREFIX.size

    def feed(self, data: bytes) -> list[bytes]:
        """Adds received bytes; returns the frames that are complete now.

        Raises `ValueError` for lengths that no frame has (a broken worker).
        """
        if not self._buffer and len(data) >= PREFIX.size and frame_size(data) == len(data):
            return [data]
        self._buffer += data
        frames: list[bytes] = []
        while len(self._buffer) >= self._need:
            size = frame_size(self._buffer)
            if size > len(self._buffer):
                self._need = size
                break
            frames.append(bytes(self._buffer[:size]))
            del self._buffer[:size]
            self._need = PREFIX.size
        return frames


def frame_size(data: bytes | bytearray) -> int:
    """The length of the frame that starts here, from its prefix. Raises `ValueError`."""
    header, body = PREFIX.unpack_from(data)
    if header > MAX_HEADER or body & ~SHARED > MAX_BODY:
        raise ValueError("a frame's lengths are out of range")
    return int(PREFIX.size + header + (0 if body & SHARED else body))


def shared_size(frame: bytes | memoryview) -> int:
    """How much shared memory a whole frame's body takes; 0 when the frame carries it itself."""
    _, body = PREFIX.unpack_from(frame)
    return int(body & ~SHARED) if body & SHARED else 0


def split(frame: bytes | memoryview) -> tuple[bytes, memoryview]:
    """A whole frame's header and body (the body without a copy)."""
    header, _ = PREFIX.unpack_from(frame)
    start = PREFIX.size + header
    return bytes(frame[PREFIX.size : start]), memoryview(frame)[start:]
