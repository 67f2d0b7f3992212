"""The bytes of a provider's reply, cut into messages. Pure."""

from __future__ import annotations

from penstock.core.errors import ProviderFailed
from penstock.runtimes.remote.contract import Frames, Framing, Message
from penstock.runtimes.remote.sse import SseFrames

MAX_DOCUMENT = 256 * 2**20
"""Bytes of a reply that is one document: 2,048 embeddings of 4,096 numbers as text are 180 MiB."""
MAX_LINE = 16 * 2**20


def frames(framing: Framing) -> Frames:
    """What cuts a body of this framing. Raises `MissingExtra` for "aws" without botocore."""
    if framing == "sse":
        return SseFrames()
    if framing == "json":
        return Document()
    if framing == "ndjson":
        return Lines()
    from penstock.runtimes.remote.bedrock_frames import AwsFrames

    return AwsFrames()


class Document:
    """A body that is one message."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[Message]:
        """Nothing, until the end. Raises `ProviderFailed` for more than anybody would send."""
        self._size += len(data)
        if self._size > MAX_DOCUMENT:
            raise ProviderFailed(f"the provider's answer is longer than {MAX_DOCUMENT} bytes")
        self._parts.append(data)
        return []

    def end(self) -> list[Message]:
        """The whole body."""
        return [Message(b"".join(self._parts))]


class Lines:
    """JSON lines."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Message]:
        """The lines that are whole now. Raises `ProviderFailed` for one that does not end."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > MAX_LINE:
            raise ProviderFailed(f"a line of the provider's answer is longer than {MAX_LINE} bytes")
        return [Message(line) for line in lines if not line.isspace() and line]

    def end(self) -> list[Message]:
        """A last line without an end."""
        rest, self._rest = self._rest.strip(), b""
        return [Message(rest)] if rest else []
