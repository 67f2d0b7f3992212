"""Server-sent events, as the WHATWG defines them: from bytes, cut anywhere, to messages. Pure."""

from __future__ import annotations

from penstock.core.errors import ProviderFailed
from penstock.runtimes.remote.contract import Message

MAX_EVENT = 16 * 2**20
"""Bytes of one event."""
_BOM = b"\xef\xbb\xbf"


class SseFrames:
    """Lines may end with LF, CRLF or CR; comments are skipped; an event without its blank line is none."""

    __slots__ = ("_begun", "_cr", "_rest")

    def __init__(self) -> None:
        self._rest = bytearray()
        self._begun = False
        self._cr = False

    def feed(self, data: bytes) -> list[Message]:
        """The events that are whole now. Raises `ProviderFailed` for one that does not end."""
        if not self._begun:
            data = self._first(data)
        if self._cr or b"\r" in data:
            data = self._plain(data)
        rest = self._rest
        seen = len(rest)
        rest += data
        end = rest.rfind(b"\n\n", max(0, seen - 1))
        if end < 0:
            if len(rest) > MAX_EVENT:
                raise ProviderFailed(f"an event of the provider's stream is longer than {MAX_EVENT} bytes")
            return []
        whole = bytes(rest[:end])
        del rest[: end + 2]
        return [message for block in whole.split(b"\n\n") if (message := _event(block)) is not None]

    def end(self) -> list[Message]:
        """An event whose lines are whole, but for the blank one after it: some servers leave that out at the end."""
        rest, self._rest = bytes(self._rest), bytearray()
        if not rest.endswith(b"\n") and rest.strip() not in (b"data: [DONE]", b"data:[DONE]"):
            return []
        message = _event(rest)
        return [] if message is None else [message]

    def _first(self, data: bytes) -> bytes:
        """Without the byte order mark that a stream may begin with."""
        data = bytes(self._rest) + data
        self._rest.clear()
        if len(data) < len(_BOM) and _BOM.startswith(data):
            self._rest += data
            return b""
        self._begun = True
        return data.removeprefix(_BOM)

    def _plain(self, data: bytes) -> bytes:
        """With LF at the end of lines; a CRLF may be cut in the middle."""
        if self._cr and data.startswith(b"\n"):
            data, self._cr = data[1:], False
        if data:
            self._cr = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _event(block: bytes) -> Message | None:
    """One event's data and name; None where there is no data."""
    if block.startswith(b"data: ") and b"\n" not in block:
        return Message(block[6:])
    name, found = "", []
    for line in block.split(b"\n"):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            found.append(value)
        elif field == b"event":
            name = value.decode(errors="replace")
    return Message(b"\n".join(found), name) if found else None
