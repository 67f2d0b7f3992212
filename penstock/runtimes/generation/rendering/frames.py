"""What a renderer and its child say to each other: msgpack frames, each after its length."""

from __future__ import annotations

import struct
from typing import Any, Literal

import msgspec

LENGTH = struct.Struct("<I")


class Setup(msgspec.Struct, tag="setup", frozen=True):
    """The first frame: what the child renders, and its limits (seconds, bytes, characters)."""

    template: str
    bos: str
    eos: str
    seconds: float
    memory: int
    longest: int


class Render(msgspec.Struct, tag="render", frozen=True):
    """A conversation to render."""

    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]] | None
    variables: dict[str, Any]


class Outcome(msgspec.Struct, tag="outcome", frozen=True):
    """The child's answer, to each frame one. "ok": the prompt, or that the template was read; else what went wrong:
    "input": the template does not take this conversation; "template": its own fault; "long": over the limit.
    `last`: the child ends after it."""

    kind: Literal["ok", "input", "template", "long"]
    text: str = ""
    last: bool = False


_encoder = msgspec.msgpack.Encoder()


def pack(message: Setup | Render | Outcome) -> bytes:
    """One frame. Raises `TypeError` or `OverflowError` for values that msgpack has no word for."""
    body = _encoder.encode(message)
    return LENGTH.pack(len(body)) + body


class Frames:
    """Bytes as they come, cut into frames."""

    def __init__(self, type_: Any):
        self._decoder = msgspec.msgpack.Decoder(type_)
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Any]:
        """The frames that are whole now. Raises `msgspec.DecodeError` for what is none."""
        self._buffer += data
        found = []
        while len(self._buffer) >= LENGTH.size:
            end = LENGTH.size + LENGTH.unpack_from(self._buffer)[0]
            if len(self._buffer) < end:
                break
            found.append(self._decoder.decode(bytes(self._buffer[LENGTH.size : end])))
            del self._buffer[:end]
        return found
