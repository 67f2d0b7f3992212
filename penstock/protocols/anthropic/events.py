"""Events of generated text as Anthropic's typed events, and a whole message made of the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from penstock.core.generation import (
    CallArguments,
    CallStarted,
    Event,
    Generated,
    Reason,
    Reasoning,
    Started,
    Stopped,
    Text,
    Usage,
)
from penstock.protocols import ids

Wire = dict[str, Any]
PING: Wire = {"type": "ping"}
_REASONS: dict[Reason, str] = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}

_FIELDS = {
    "text_delta": "text",
    "thinking_delta": "thinking",
    "signature_delta": "signature",
    "input_json_delta": "partial_json",
}
"""What a delta has more of."""


class Writer:
    """Writes one message. Blocks are opened and closed as the kind of what comes changes.

    `omit`: thoughts are not shown; a block without text stands where they were. `told`: what to say at the end of who
    answered.
    """

    def __init__(self, model: str, omit: bool = False, told: Callable[[], Wire] = dict):
        self._model = model
        self._told = told
        self._omit = omit
        self._index = -1
        self._open: object = None
        self._stopped = Stopped(0, "stop")

    def write(self, event: Event | Generated) -> Iterator[Wire]:
        """The wire events of an event."""
        if isinstance(event, Text | Reasoning | CallArguments) and not event.text:
            return
        if isinstance(event, Text):
            yield from self._more("text", {"type": "text", "text": ""}, {"type": "text_delta", "text": event.text})
        elif isinstance(event, Reasoning):
            block = {"type": "thinking", "thinking": "", "signature": ""}
            delta = None if self._omit else {"type": "thinking_delta", "thinking": event.text}
            yield from self._more("thinking", block, delta)
        elif isinstance(event, CallStarted):
            yield from self._more(event.call, {"type": "tool_use", "id": event.id, "name": event.name, "input": {}})
        elif isinstance(event, CallArguments):
            yield self._delta({"type": "input_json_delta", "partial_json": event.text})
        elif isinstance(event, Started):
            yield self._start(event)
        elif isinstance(event, Stopped):
            self._stopped = event
        else:
            yield from self._end(event.usage)

    def _start(self, started: Started) -> Wire:
        message: Wire = {
            "id": f"msg_{ids.token(12)}",
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage_of(Usage(started.prompt_tokens, started.cached_tokens)),
        }
        return {"type": "message_start", "message": message}

    def _more(self, kind: object, block: Wire, delta: Wire | None = None) -> Iterator[Wire]:
        if self._open != kind:
            yield from self._close()
            self._open, self._index = kind, self._index + 1
            yield {"type": "content_block_start", "index": self._index, "content_block": block}
        if delta is not None:
            yield self._delta(delta)

    def _close(self) -> Iterator[Wire]:
        if self._open == "thinking":
            yield self._delta({"type": "signature_delta", "signature": ""})
        if self._open is not None:
            yield {"type": "content_block_stop", "index": self._index}
        self._open = None

    def _delta(self, delta: Wire) -> Wire:
        return {"type": "content_block_delta", "index": self._index, "delta": delta}

    def _end(self, usage: Usage) -> Iterator[Wire]:
        yield from self._close()
        stop = self._stopped.stop if self._stopped.reason == "stop" else None
        reason = "stop_sequence" if stop is not None else _REASONS[self._stopped.reason]
        delta = {"stop_reason": reason, "stop_sequence": stop}
        yield {"type": "message_delta", "delta": delta, "usage": usage_of(usage), **self._told()}
        yield {"type": "message_stop"}


def usage_of(usage: Usage) -> Wire:
    """Tokens as Anthropic counts them: `input_tokens` are those that were not known before."""
    told: Wire = {
        "input_tokens": usage.prompt_tokens - usage.cached_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached_tokens,
        "output_tokens": usage.completion_tokens,
    }
    if usage.reasoning_tokens:
        told["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    return told


def whole(wires: Iterable[Wire]) -> Wire:
    """The message that the events of a stream make, as clients put it together."""
    message: Wire = {}
    pieces: dict[tuple[int, str], list[str]] = {}
    for wire in wires:
        if wire["type"] == "message_start":
            message = wire["message"]
        elif wire["type"] == "content_block_start":
            message["content"].append(dict(wire["content_block"]))
        elif wire["type"] == "content_block_delta":
            field = _FIELDS[wire["delta"]["type"]]
            pieces.setdefault((wire["index"], field), []).append(wire["delta"][field])
        elif wire["type"] == "message_delta":
            message |= wire["delta"] | {name: value for name, value in wire.items() if name not in ("type", "delta")}
    for (index, field), texts in pieces.items():
        _fill(message["content"][index], field, "".join(texts))
    return message


def _fill(block: Wire, field: str, text: str) -> None:
    if field == "partial_json":
        block["input"] = msgspec.json.decode(text, type=dict[str, Any])
    else:
        block[field] = text
