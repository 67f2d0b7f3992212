"""A response as it grows: the same events make the whole body, or the typed events of its stream."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from msgspec import to_builtins

from penstock.core.errors import PenstockError
from penstock.core.generation import CallArguments, CallStarted, Event, Reasoning, Started, Stopped, Text, Usage
from penstock.protocols.openai.responses.items import Building, CallItem, Named, ReasoningItem, TextItem, new_id
from penstock.protocols.openai.responses.request import ResponsesRequest
from penstock.protocols.openai.usage import responses_usage_of

Json = dict[str, Any]


class Growing:
    """One response. Items follow each other: whatever is of another kind ends the one under way."""

    def __init__(self, message: ResponsesRequest, choice: str):
        self._head = _head(message, choice)
        self._output: list[Json] = []
        self._open: Building | None = None
        self._cut = False
        self._sequence = 0

    def add(self, event: Event) -> list[Json]:
        """What to send at the next event."""
        if isinstance(event, Started):
            body = self._body("in_progress")
            return self._numbered([("created", {"response": body}), ("in_progress", {"response": body})])
        if isinstance(event, Stopped):
            return self._numbered(self._stopped(event))
        return self._numbered(self._more(event))

    def completed(self, usage: Usage, told: Mapping[str, Any]) -> list[Json]:
        """What to send at the end of an answer that went well; `told`: what it says of who answered."""
        return self._numbered([("incomplete" if self._cut else "completed", {"response": self.body(usage, told)})])

    def failed(self, error: PenstockError) -> list[Json]:
        """What to send when it failed."""
        code = {400: "invalid_prompt", 429: "rate_limit_exceeded"}.get(error.status, "server_error")
        body = self._body("failed") | {"error": {"code": code, "message": error.message}}
        return self._numbered([("failed", {"response": body})])

    def body(self, usage: Usage, told: Mapping[str, Any]) -> Json:
        """The whole response, likewise."""
        found = self._body("incomplete" if self._cut else "completed")
        details = {"reason": "max_output_tokens"} if self._cut else None
        ended = None if self._cut else int(time.time())
        ending = {"completed_at": ended, "incomplete_details": details, "usage": responses_usage_of(usage)}
        return {**found, **ending, **told}

    def _body(self, status: str) -> Json:
        return {**self._head, "status": status, "output": list(self._output)}

    # --- items

    def _more(self, event: Text | Reasoning | CallStarted | CallArguments) -> list[Named]:
        if isinstance(event, CallStarted):
            return self._switch(CallItem(event))
        if isinstance(event, Text):
            begun = [] if isinstance(self._open, TextItem) else self._switch(TextItem())
        elif isinstance(event, Reasoning):
            begun = [] if isinstance(self._open, ReasoningItem) else self._switch(ReasoningItem())
        else:
            begun = []
        return [*begun, *self._placed(self._grow(event))]

    def _grow(self, event: Text | Reasoning | CallArguments) -> list[Named]:
        """More of the item under way."""
        item = self._open
        if isinstance(item, TextItem) and isinstance(event, Text):
            return item.delta(event.text, event.logprobs)
        return item.delta(event.text) if isinstance(item, ReasoningItem | CallItem) else []

    def _switch(self, item: Building) -> list[Named]:
        """Ends the item under way, and begins another."""
        return [*self._end("completed"), *self._begin(item)]

    def _begin(self, item: Building) -> list[Named]:
        self._open = item
        return self._placed(item.added())

    def _end(self, status: str) -> list[Named]:
        """Ends the item under way, if there is one."""
        item, self._open = self._open, None
        if item is None:
            return []
        named = self._placed(item.done(status))
        self._output.append(item.whole(status))
        return named

    def _stopped(self, event: Stopped) -> list[Named]:
        """The end of the last item; an answer without any is an empty message."""
        self._cut = event.reason == "length"
        empty = self._open is None and not self._output
        begun = self._begin(TextItem()) if empty else []
        return [*begun, *self._end("incomplete" if self._cut else "completed")]

    # --- events

    def _placed(self, named: list[Named]) -> list[Named]:
        return [(name, {"output_index": len(self._output), **data}) for name, data in named]

    def _numbered(self, named: list[Named]) -> list[Json]:
        first = self._sequence
        self._sequence += len(named)
        return [
            {"type": f"response.{name}", "sequence_number": first + index, **data}
            for index, (name, data) in enumerate(named)
        ]


def _head(message: ResponsesRequest, choice: str) -> Json:
    """What a response says of its request. `choice` among the tools, as the path knows it."""
    text = to_builtins(message.text.format) if message.text is not None and message.text.format is not None else None
    return {
        "id": new_id("resp"),
        "object": "response",
        "created_at": int(time.time()),
        "completed_at": None,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": message.instructions,
        "max_output_tokens": message.max_output_tokens,
        "metadata": message.metadata or {},
        "model": message.model,
        "parallel_tool_calls": message.parallel_tool_calls is not False,
        "previous_response_id": None,
        "reasoning": {"effort": message.reasoning.effort if message.reasoning is not None else None, "summary": None},
        "service_tier": "default",
        "store": False,
        "temperature": message.temperature,
        "text": {"format": text or {"type": "text"}},
        "tool_choice": {"type": "function", "name": choice[1:]} if choice.startswith("=") else choice,
        "tools": message.tools or [],
        "top_logprobs": message.top_logprobs or 0,
        "top_p": message.top_p,
        "truncation": "disabled",
        "usage": None,
        "user": message.user,
    }
