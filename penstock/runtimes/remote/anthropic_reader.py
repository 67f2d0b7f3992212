"""Anthropic's replies, streamed and whole, as events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from penstock.core.errors import PenstockError
from penstock.core.generation import Event, Reason, Reasoning, Started, Text, Usage
from penstock.runtimes.remote.calls import Calls
from penstock.runtimes.remote.failures import broken_off, document, failed, malformed
from penstock.runtimes.remote.reading import News, Reading, counted, filtered, odd_end, stopped

NAME = "Anthropic"
_REASONS: dict[str, Reason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
}
_STATUSES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
}
"""What errors inside a stream would have been before it."""


class _Details(msgspec.Struct):
    thinking_tokens: int = 0


class _Usage(msgspec.Struct):
    input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    output_tokens: int | None = None
    output_tokens_details: _Details | None = None


class _Block(msgspec.Struct):
    type: str = ""
    text: str = ""
    thinking: str = ""
    id: str = ""
    name: str = ""
    input: dict[str, Any] = {}


class _Delta(msgspec.Struct):
    type: str = ""
    text: str = ""
    thinking: str = ""
    partial_json: str = ""
    stop_reason: str | None = None
    stop_sequence: str | None = None


class _Error(msgspec.Struct):
    type: str = ""
    message: str = ""


class _Message(msgspec.Struct):
    usage: _Usage | None = None


class _Wire(msgspec.Struct):
    """Any event of a stream, any whole message, and any count: all of their fields that are read."""

    type: str = ""
    index: int = 0
    message: _Message | None = None
    content_block: _Block | None = None
    delta: _Delta | None = None
    usage: _Usage | None = None
    error: _Error | None = None
    content: list[_Block] = []
    stop_reason: str | None = None
    stop_sequence: str | None = None
    input_tokens: int | None = None


_wire = msgspec.json.Decoder(_Wire)


class AnthropicReader(Reading):
    """One reply. Kinds of events and blocks that are not known are passed over, as the API's versioning asks for."""

    provider = NAME

    def __init__(self, *, one_call: bool = False) -> None:
        super().__init__()
        self._calls = Calls(one=one_call)
        self._usage = _Usage()
        self._stop: tuple[str, str | None] | None = None

    def _read(self, message: bytes, event: str) -> Iterator[News]:
        wire = _wire.decode(message)
        if wire.type == "content_block_delta":
            yield from self._delta(wire.index, wire.delta or _Delta())
        elif wire.type == "content_block_start":
            yield from self._begin(wire.index, wire.content_block or _Block())
        elif wire.type == "content_block_stop":
            yield from self._calls.finish(wire.index)
        elif wire.type == "message_start" and wire.message is not None:
            yield self._started(wire.message.usage)
        elif wire.type == "message_delta":
            self._keep(wire.usage)
            if wire.delta is not None and wire.delta.stop_reason is not None:
                self._stop = wire.delta.stop_reason, wire.delta.stop_sequence
        elif wire.type == "message_stop":
            yield from self._end()
        elif wire.type == "error":
            raise _in_stream(wire.error or _Error())
        elif wire.type == "message":
            yield from self._whole(wire)
        elif not wire.type:
            yield from counted(NAME, wire.input_tokens)

    def _started(self, usage: _Usage | None) -> Started:
        self._keep(usage)
        told = self._told()
        return Started(told.prompt_tokens, told.cached_tokens)

    def _begin(self, index: int, block: _Block) -> Iterator[Event]:
        if block.type == "tool_use":
            self._calls.begin(index, block.id, block.name)
            if block.input:
                self._calls.more(index, msgspec.json.encode(block.input).decode())
        elif block.type == "text" and block.text:
            yield Text(0, block.text)
        elif block.type == "thinking" and block.thinking:
            yield Reasoning(0, block.thinking)

    def _delta(self, index: int, delta: _Delta) -> Iterator[Event]:
        if delta.type == "text_delta" and delta.text:
            yield Text(0, delta.text)
        elif delta.type == "input_json_delta" and delta.partial_json:
            self._calls.more(index, delta.partial_json)
        elif delta.type == "thinking_delta" and delta.thinking:
            yield Reasoning(0, delta.thinking)

    def _whole(self, wire: _Wire) -> Iterator[News]:
        yield self._started(wire.usage)
        for index, block in enumerate(wire.content):
            yield from self._begin(index, block)
            yield from self._calls.finish(index)
        self._stop = wire.stop_reason or "", wire.stop_sequence
        yield from self._end()

    def _end(self) -> Iterator[News]:
        if self._stop is None:
            raise malformed(NAME, "an end without a reason")
        reason, stop = self._stop
        if reason == "refusal":
            raise filtered(NAME, "refusal")
        if reason not in _REASONS:
            raise odd_end(NAME, reason)
        yield from self._calls.end(cut=_REASONS[reason] == "length")
        yield from stopped(0, _REASONS[reason], stop, self._told())

    def _keep(self, usage: _Usage | None) -> None:
        """What is told of the tokens; later numbers count, and what they do not say stays."""
        if usage is not None:
            known = {name: value for name, value in msgspec.structs.asdict(usage).items() if value is not None}
            self._usage = msgspec.structs.replace(self._usage, **known)

    def _told(self) -> Usage:
        """Tokens as we count them: the prompt is all that was read, whether it was cached or not."""
        told, cached = self._usage, self._usage.cache_read_input_tokens or 0
        return Usage(
            prompt_tokens=(told.input_tokens or 0) + (told.cache_creation_input_tokens or 0) + cached,
            cached_tokens=cached,
            completion_tokens=told.output_tokens or 0,
            reasoning_tokens=told.output_tokens_details.thinking_tokens if told.output_tokens_details else 0,
        )


def error_of(status: int, headers: Mapping[str, str], body: bytes) -> PenstockError:
    """The error of a reply that is none."""
    told = document(body)
    try:
        error = msgspec.convert(told, _Wire).error or _Error()
    except msgspec.ValidationError:
        error = _Error()
    return failed(NAME, status, headers, error.message)


def _in_stream(error: _Error) -> PenstockError:
    status = _STATUSES.get(error.type)
    return broken_off(NAME, error.type, error.message) if status is None else failed(NAME, status, {}, error.message)
