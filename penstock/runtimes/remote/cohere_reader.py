"""Cohere's replies, streamed and whole, as events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from penstock.core.errors import PenstockError
from penstock.core.generation import Event, Generation, Reason, Reasoning, Started, Text, Usage
from penstock.runtimes.remote.calls import Calls
from penstock.runtimes.remote.estimate import prompt_tokens
from penstock.runtimes.remote.failures import broken_off, document, failed, malformed
from penstock.runtimes.remote.reading import News, Reading, filtered, met, odd_end, stopped

NAME = "Cohere"
_REASONS: dict[str, Reason] = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "MAX_TOKENS": "length",
    "ERROR_LIMIT": "length",
    "TOOL_CALL": "tool_calls",
}


class _Tokens(msgspec.Struct):
    input_tokens: float | None = None
    output_tokens: float | None = None


class Usages(msgspec.Struct):
    """What a reply took: in the model, and on the bill (without the words that Cohere puts around a prompt)."""

    billed_units: _Tokens | None = None
    tokens: _Tokens | None = None
    cached_tokens: float | None = None

    def counted(self) -> Usage:
        """Tokens as they are paid for."""
        billed, used = self.billed_units or _Tokens(), self.tokens or _Tokens()
        prompt = used.input_tokens if billed.input_tokens is None else billed.input_tokens
        answer = used.output_tokens if billed.output_tokens is None else billed.output_tokens
        cached = min(self.cached_tokens or 0, prompt or 0)
        return Usage(int(prompt or 0), int(cached), int(answer or 0))


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _Call(msgspec.Struct):
    id: str = ""
    function: _Function | None = None


class _Content(msgspec.Struct):
    text: str | None = None
    thinking: str | None = None


class _Message(msgspec.Struct):
    content: list[_Content] | _Content | None = None
    tool_calls: list[_Call] | _Call | None = None
    tool_plan: str | None = None


class _Delta(msgspec.Struct):
    message: _Message | None = None
    finish_reason: str | None = None
    usage: Usages | None = None
    error: str | None = None


class _Wire(msgspec.Struct):
    """Any event of a stream, any whole answer, any error: all of their fields that are read."""

    type: str = ""
    index: int = 0
    delta: _Delta | None = None
    message: Any = None
    finish_reason: str | None = None
    usage: Usages | None = None


_wire = msgspec.json.Decoder(_Wire)


class CohereReader(Reading):
    """One reply. Prompt tokens are told at its end, and estimated until then; citations are passed over."""

    provider = NAME

    def __init__(self, asked: Generation) -> None:
        super().__init__()
        self._asked = asked
        self._calls = Calls(one=not asked.parallel_calls)

    def _read(self, message: bytes, event: str) -> Iterator[News]:
        if message == b"[DONE]":
            return
        wire = _wire.decode(message)
        delta = wire.delta or _Delta()
        if wire.type in ("content-delta", "content-start", "tool-plan-delta"):
            yield from _said(delta.message or _Message())
        elif wire.type == "tool-call-start":
            self._begin(wire.index, delta.message or _Message())
        elif wire.type == "tool-call-delta":
            for call in _list((delta.message or _Message()).tool_calls):
                self._calls.more(wire.index, _arguments(call))
        elif wire.type == "tool-call-end":
            yield from self._calls.finish(wire.index)
        elif wire.type == "message-start":
            yield Started(prompt_tokens(self._asked))
        elif wire.type == "message-end":
            yield from self._end(delta)
        elif not wire.type:
            yield from self._whole(wire)

    def _begin(self, index: int, message: _Message) -> None:
        for call in _list(message.tool_calls):
            self._calls.begin(index, call.id, (call.function and call.function.name) or "")
            self._calls.more(index, _arguments(call))

    def _whole(self, wire: _Wire) -> Iterator[News]:
        if wire.finish_reason is None:
            raise malformed(NAME)
        message = msgspec.convert(wire.message, _Message)
        yield Started(wire.usage.counted().prompt_tokens if wire.usage else 0)
        yield from _said(message)
        for index, call in enumerate(_list(message.tool_calls)):
            self._begin(index, _Message(tool_calls=call))
        yield from self._end(_Delta(finish_reason=wire.finish_reason, usage=wire.usage))

    def _end(self, told: _Delta) -> Iterator[News]:
        reason = told.finish_reason or ""
        if reason == "ERROR_TOXIC":
            raise filtered(NAME, reason)
        if told.error or reason == "ERROR":
            raise broken_off(NAME, reason, told.error or "")
        if reason not in _REASONS:
            raise odd_end(NAME, reason or "without a reason")
        yield from self._calls.end(cut=_REASONS[reason] == "length")
        stop = met(self._asked.sampling.stop) if reason == "STOP_SEQUENCE" else None
        yield from stopped(0, _REASONS[reason], stop, (told.usage or Usages()).counted())


def _said(message: _Message) -> Iterator[Event]:
    if message.tool_plan:
        yield Reasoning(0, message.tool_plan)
    for content in _list(message.content):
        if content.thinking:
            yield Reasoning(0, content.thinking)
        if content.text:
            yield Text(0, content.text)


def _list(found: Any) -> list[Any]:
    return found if isinstance(found, list) else [] if found is None else [found]


def _arguments(call: _Call) -> str:
    return (call.function and call.function.arguments) or ""


def error_of(status: int, headers: Mapping[str, str], body: bytes) -> PenstockError:
    """The error of a reply that is none."""
    told = document(body)
    words = told.get("message") if isinstance(told, dict) else None
    return failed(NAME, status, headers, words if isinstance(words, str) else "")
