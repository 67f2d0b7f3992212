"""The items of a response, and the events by which each comes to its client piece by piece."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from penstock.core.generation import CallStarted, TokenLogprob
from penstock.protocols import ids
from penstock.protocols.openai.usage import logprobs_of

Json = dict[str, Any]
Named = tuple[str, Json]
"""An event's name and its data, without what all events have."""


class Building(Protocol):
    """An item under way."""

    def added(self) -> list[Named]:
        """The events of its beginning."""

    def done(self, status: str) -> list[Named]:
        """The events of its end."""

    def whole(self, status: str) -> Json:
        """The item as it is now."""


def new_id(kind: str) -> str:
    """An id such as "msg_..."."""
    return f"{kind}_{ids.token(16)}"


class TextItem:
    """A message of the assistant."""

    def __init__(self) -> None:
        self._id = new_id("msg")
        self._texts: list[str] = []
        self._logprobs: list[Json] = []

    def added(self) -> list[Named]:
        """The events of its beginning."""
        head: Json = {"id": self._id, "type": "message", "status": "in_progress", "role": "assistant", "content": []}
        part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        return [("output_item.added", {"item": head}), ("content_part.added", {**self._place(), "part": part})]

    def delta(self, text: str, tokens: Sequence[TokenLogprob]) -> list[Named]:
        """The event of more text."""
        logprobs = logprobs_of(tokens)
        self._texts.append(text)
        self._logprobs += logprobs
        return [("output_text.delta", {**self._place(), "delta": text, "logprobs": logprobs})]

    def done(self, status: str) -> list[Named]:
        """The events of its end."""
        place, part = self._place(), self._part()
        return [
            ("output_text.done", {**place, "text": part["text"], "logprobs": self._logprobs}),
            ("content_part.done", {**place, "part": part}),
            ("output_item.done", {"item": self.whole(status)}),
        ]

    def whole(self, status: str) -> Json:
        """The item as it is now."""
        said = {"id": self._id, "type": "message", "status": status, "role": "assistant"}
        return {**said, "content": [self._part()]}

    def _part(self) -> Json:
        return {"type": "output_text", "text": "".join(self._texts), "annotations": [], "logprobs": self._logprobs}

    def _place(self) -> Json:
        return {"item_id": self._id, "content_index": 0}


class ReasoningItem:
    """What the model thought."""

    def __init__(self) -> None:
        self._id = new_id("rs")
        self._texts: list[str] = []

    def added(self) -> list[Named]:
        """The events of its beginning."""
        head: Json = {"id": self._id, "type": "reasoning", "summary": [], "content": [], "status": "in_progress"}
        part = {"type": "reasoning_text", "text": ""}
        return [("output_item.added", {"item": head}), ("content_part.added", {**self._place(), "part": part})]

    def delta(self, text: str) -> list[Named]:
        """The event of more thoughts."""
        self._texts.append(text)
        return [("reasoning_text.delta", {**self._place(), "delta": text})]

    def done(self, status: str) -> list[Named]:
        """The events of its end."""
        place, part = self._place(), self._part()
        return [
            ("reasoning_text.done", {**place, "text": part["text"]}),
            ("content_part.done", {**place, "part": part}),
            ("output_item.done", {"item": self.whole(status)}),
        ]

    def whole(self, status: str) -> Json:
        """The item as it is now."""
        thought = {"id": self._id, "type": "reasoning", "summary": [], "content": [self._part()]}
        return {**thought, "encrypted_content": None, "status": status}

    def _part(self) -> Json:
        return {"type": "reasoning_text", "text": "".join(self._texts)}

    def _place(self) -> Json:
        return {"item_id": self._id, "content_index": 0}


class CallItem:
    """A call of a function."""

    def __init__(self, call: CallStarted):
        self._id = new_id("fc")
        self._call = call
        self._texts: list[str] = []

    def added(self) -> list[Named]:
        """The event of its beginning."""
        return [("output_item.added", {"item": self.whole("in_progress")})]

    def delta(self, text: str) -> list[Named]:
        """The event of more arguments."""
        self._texts.append(text)
        return [("function_call_arguments.delta", {"item_id": self._id, "delta": text})]

    def done(self, status: str) -> list[Named]:
        """The events of its end."""
        whole = self.whole(status)
        arguments = {"item_id": self._id, "name": self._call.name, "arguments": whole["arguments"]}
        return [("function_call_arguments.done", arguments), ("output_item.done", {"item": whole})]

    def whole(self, status: str) -> Json:
        """The item as it is now."""
        called = {"call_id": self._call.id, "name": self._call.name, "arguments": "".join(self._texts)}
        return {"id": self._id, "type": "function_call", "status": status, **called}
