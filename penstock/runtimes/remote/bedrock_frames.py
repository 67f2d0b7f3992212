"""AWS's event stream: from bytes, cut anywhere, to messages, as botocore reads them."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.core.errors import MissingExtra, ProviderFailed
from penstock.runtimes.remote.contract import Message


class AwsFrames:
    """Messages are named by their event, or by the exception that they tell. Raises `MissingExtra` without
    botocore."""

    __slots__ = ("_broken", "_buffer")

    def __init__(self) -> None:
        try:
            from botocore.eventstream import EventStreamBuffer, ParserError
        except ImportError:
            raise missing() from None
        self._buffer: Any = EventStreamBuffer()
        self._broken: type[Exception] = ParserError

    def feed(self, data: bytes) -> list[Message]:
        """The messages that are whole now. Raises `ProviderFailed` for bytes that are none."""
        try:
            self._buffer.add_data(data)
            return [_message(found.headers, found.payload) for found in self._buffer]
        except (self._broken, UnicodeDecodeError, KeyError) as error:
            raise ProviderFailed("Bedrock sent something that is no event stream", detail=str(error)) from None

    def end(self) -> list[Message]:
        """Nothing: a message that is not whole is none."""
        return []


def missing() -> MissingExtra:
    """The error of a model of Bedrock where botocore is not installed."""
    return MissingExtra("models of Bedrock need botocore; install it with: pip install 'penstock[bedrock]'")


def _message(headers: dict[str, Any], payload: bytes) -> Message:
    if headers.get(":message-type") == "error":
        words = msgspec.json.encode({"message": str(headers.get(":error-message", ""))})
        return Message(words, str(headers.get(":error-code", "error")))
    return Message(payload, str(headers.get(":event-type") or headers.get(":exception-type", "")))
