"""Events of generated text as Ollama's objects, one per line, and a whole answer made of the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from penstock.core.clock import Clock
from penstock.core.generation import (
    CallArguments,
    CallStarted,
    Event,
    Generated,
    Reasoning,
    Started,
    Stopped,
    Text,
    TokenLogprob,
    Usage,
)
from penstock.core.reply import Meta
from penstock.protocols.generation.logprobs import shown
from penstock.protocols.provenance import told

Line = dict[str, Any]
Shape = Literal["chat", "generate"]
JSON_LINES = b"application/x-ndjson"


class Writer:
    """Writes one answer. `shape`: what carries the text, a `message` or a `response`. A tool call is told when all its
    arguments are there. `request_id`: what feedback names."""

    def __init__(self, model: str, shape: Shape, meta: Meta, clock: Clock, request_id: str = ""):
        self._model = model
        self._shape = shape
        self._meta = meta
        self._id = request_id
        self._clock = clock
        self._began = clock()
        self._call: tuple[CallStarted, list[str]] | None = None
        self._calls = 0
        self._reason = "stop"

    def write(self, event: Event | Generated) -> Iterator[Line]:
        """The lines of an event."""
        if isinstance(event, CallArguments):
            if self._call is not None:
                self._call[1].append(event.text)
            return
        if isinstance(event, Text | Reasoning) and not event.text and not getattr(event, "logprobs", ()):
            return
        yield from self._finish_call()
        if isinstance(event, Text):
            yield self._line(text=event.text, logprobs=event.logprobs)
        elif isinstance(event, Reasoning):
            yield self._line(thinking=event.text)
        elif isinstance(event, CallStarted):
            self._call = event, []
        elif isinstance(event, Stopped):
            self._reason = "length" if event.reason == "length" else "stop"
        elif not isinstance(event, Started):
            yield self._last(event.usage)

    def idle(self) -> Line:
        """A line that says nothing but that the stream lives."""
        return self._line()

    def _finish_call(self) -> Iterator[Line]:
        call, self._call = self._call, None
        if call is None:
            return
        arguments = msgspec.json.decode("".join(call[1]) or "{}", type=dict[str, Any])
        function = {"index": self._calls, "name": call[0].name, "arguments": arguments}
        self._calls += 1
        yield self._line(calls=[{"id": call[0].id, "function": function}])

    def _line(
        self, text: str = "", thinking: str = "", calls: Any = None, logprobs: tuple[TokenLogprob, ...] = ()
    ) -> Line:
        said: Line = {"thinking": thinking} if thinking else {}
        if calls:
            said["tool_calls"] = calls
        if self._shape == "chat":
            said = {"message": {"role": "assistant", "content": text, **said}}
        else:
            said = {"response": text, **said}
        if logprobs:
            said["logprobs"] = list(map(_logprob, logprobs))
        return {"model": self._model, "created_at": now(), **said, "done": False}

    def _last(self, usage: Usage) -> Line:
        counts = {"prompt_eval_count": usage.prompt_tokens, "eval_count": usage.completion_tokens}
        ending = {"done": True, "done_reason": self._reason, **self._durations(), **counts}
        return self._line() | ending | told(self._meta, self._id)

    def _durations(self) -> dict[str, int]:
        """In nanoseconds. `load_duration`, as Ollama means it: until the model could begin with the request."""
        meta, since_began = self._meta, self._clock() - self._began
        first = max(meta.first_s, meta.queue_s)
        total = meta.total_s or first + since_began
        spans = {"total": total, "load": meta.queue_s, "prompt_eval": first - meta.queue_s, "eval": total - first}
        return {f"{name}_duration": max(0, round(seconds * 1e9)) for name, seconds in spans.items()}


def whole(lines: Iterable[Line]) -> Line:
    """The one object that the lines of a stream make."""
    lines = list(lines)
    answer = dict(lines[-1])
    said = [line.get("message", line) for line in lines]
    target = answer.get("message", answer)
    target["content" if "message" in answer else "response"] = "".join(_text(part) for part in said)
    if thinking := "".join(part.get("thinking", "") for part in said):
        target["thinking"] = thinking
    if calls := [call for part in said for call in part.get("tool_calls", ())]:
        target["tool_calls"] = calls
    if logprobs := [item for line in lines for item in line.get("logprobs", ())]:
        answer["logprobs"] = logprobs
    return answer


def asked_nothing(model: str, shape: Shape, reason: str) -> Line:
    """The answer to a request that says nothing, with which clients load a model before they need it, or unload it."""
    said: Line = {"message": {"role": "assistant", "content": ""}} if shape == "chat" else {"response": ""}
    return {"model": model, "created_at": now(), **said, "done": True, "done_reason": reason}


def encoded(line: Line) -> bytes:
    """A line's bytes."""
    return msgspec.json.encode(line) + b"\n"


def now() -> str:
    """This moment, as RFC 3339 has it."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _text(part: Line) -> str:
    return str(part.get("content", part.get("response", "")))


def _logprob(token: TokenLogprob) -> Line:
    top = [{"token": text, "logprob": shown(logprob), "bytes": list(raw)} for text, raw, logprob in token.top]
    told = {"token": token.token, "logprob": shown(token.logprob), "bytes": list(token.raw)}
    return told | ({"top_logprobs": top} if top else {})
