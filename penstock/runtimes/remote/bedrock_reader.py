"""Bedrock's replies, streamed and whole, as events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from penstock.core.errors import PenstockError
from penstock.core.generation import Event, Generation, Reason, Reasoning, Started, Text, Usage
from penstock.runtimes.remote.calls import Calls
from penstock.runtimes.remote.estimate import prompt_tokens
from penstock.runtimes.remote.failures import broken_off, document, failed, malformed
from penstock.runtimes.remote.reading import News, Reading, counted, filtered, met, odd_end, stopped

NAME = "Bedrock"
_REASONS: dict[str, Reason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "guardrail_intervened": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
}
"""What a guardrail says in place of the model is the answer that its owner wrote."""
_STATUSES = {
    "validation": 400,
    "accessdenied": 403,
    "throttling": 429,
    "servicequotaexceeded": 429,
    "resourcenotfound": 404,
    "expiredtoken": 403,
    "unrecognizedclient": 403,
    "invalidsignature": 403,
    "incompletesignature": 403,
}
"""What errors are by their names, whatever the status that they came with (or none, inside a stream)."""


class _Reasoning(msgspec.Struct, rename="camel"):
    text: str | None = None
    reasoning_text: _Reasoning | None = None


class _ToolUse(msgspec.Struct, rename="camel"):
    tool_use_id: str = ""
    name: str = ""
    input: Any = None


class _Block(msgspec.Struct, rename="camel"):
    """A block's start, a delta of one, or a whole one."""

    text: str | None = None
    tool_use: _ToolUse | None = None
    reasoning_content: _Reasoning | None = None


class _Message(msgspec.Struct):
    content: list[_Block] = []


class _Output(msgspec.Struct):
    message: _Message | None = None


class _Usage(msgspec.Struct, rename="camel"):
    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_write_input_tokens: int = 0

    def counted(self) -> Usage:
        """Tokens as we count them; some models count cached ones into the input, and some do not."""
        cached, apart = self.cache_read_input_tokens, self.total_tokens - self.input_tokens - self.output_tokens
        return Usage(self.input_tokens + max(apart, 0), cached, self.output_tokens)


class _Wire(msgspec.Struct, rename="camel"):
    """Any event of a stream, any whole answer, any count and any error: all of their fields that are read."""

    content_block_index: int = 0
    start: _Block | None = None
    delta: _Block | None = None
    stop_reason: str | None = None
    usage: _Usage | None = None
    output: _Output | None = None
    input_tokens: int | None = None
    message: str | None = None


_wire = msgspec.json.Decoder(_Wire)


class BedrockReader(Reading):
    """One reply. What it took is told after why it stopped, and estimated until then."""

    provider = NAME

    def __init__(self, asked: Generation) -> None:
        super().__init__()
        self._asked = asked
        self._calls = Calls(one=not asked.parallel_calls)
        self._stop: str | None = None

    def _read(self, message: bytes, event: str) -> Iterator[News]:
        wire = _wire.decode(message)
        at = wire.content_block_index
        if event == "contentBlockDelta":
            yield from self._delta(at, wire.delta or _Block())
        elif event == "contentBlockStart" and wire.start is not None:
            self._begin(at, wire.start)
        elif event == "contentBlockStop":
            yield from self._calls.finish(at)
        elif event == "messageStart":
            yield Started(prompt_tokens(self._asked))
        elif event == "messageStop":
            self._stop = wire.stop_reason
        elif event == "metadata":
            yield from self._end(wire.usage or _Usage())
        elif not event:
            yield from self._whole(wire)
        elif "Exception" in event or event == "error":
            raise _named(event, wire.message or "") or broken_off(NAME, event, wire.message or "")

    def _begin(self, at: int, start: _Block) -> None:
        if start.tool_use is not None:
            self._calls.begin(at, start.tool_use.tool_use_id, start.tool_use.name)

    def _delta(self, at: int, delta: _Block) -> Iterator[Event]:
        if delta.text:
            yield Text(0, delta.text)
        elif delta.tool_use is not None:
            self._calls.more(at, str(delta.tool_use.input or ""))
        elif delta.reasoning_content is not None and delta.reasoning_content.text:
            yield Reasoning(0, delta.reasoning_content.text)

    def _whole(self, wire: _Wire) -> Iterator[News]:
        if wire.output is None or wire.output.message is None:
            yield from counted(NAME, wire.input_tokens)
            return
        usage = wire.usage or _Usage()
        yield Started(usage.counted().prompt_tokens, usage.cache_read_input_tokens)
        for block in wire.output.message.content:
            yield from self._block(block)
        self._stop = wire.stop_reason
        yield from self._end(usage)

    def _block(self, block: _Block) -> Iterator[Event]:
        thought = block.reasoning_content and block.reasoning_content.reasoning_text
        if thought and thought.text:
            yield Reasoning(0, thought.text)
        if block.text:
            yield Text(0, block.text)
        if block.tool_use is not None:
            arguments = msgspec.json.encode(block.tool_use.input or {}).decode()
            yield from self._calls.whole(block.tool_use.tool_use_id, block.tool_use.name, arguments)

    def _end(self, usage: _Usage) -> Iterator[News]:
        reason = self._stop
        if reason is None:
            raise malformed(NAME, "an end without a reason")
        if reason == "content_filtered":
            raise filtered(NAME, reason)
        if reason not in _REASONS:
            raise odd_end(NAME, reason)
        yield from self._calls.end(cut=_REASONS[reason] == "length")
        stop = met(self._asked.sampling.stop) if reason == "stop_sequence" else None
        yield from stopped(0, _REASONS[reason], stop, usage.counted())


def error_of(status: int, headers: Mapping[str, str], body: bytes) -> PenstockError:
    """The error of a reply that is none; AWS names it in a header."""
    told = document(body)
    words = (told.get("message") or told.get("Message")) if isinstance(told, dict) else None
    words = words if isinstance(words, str) else ""
    names = [value for name, value in headers.items() if name.lower() == "x-amzn-errortype"]
    named = _named(names[0], words, headers) if names else None
    return named or failed(NAME, status, headers, words)


def _named(name: str, words: str, headers: Mapping[str, str] | None = None) -> PenstockError | None:
    """The error of this name; None for one that says no more than its status."""
    kind = name.partition(":")[0].rpartition("#")[2].removesuffix("Exception").lower()
    return failed(NAME, _STATUSES[kind], headers or {}, words) if kind in _STATUSES else None
