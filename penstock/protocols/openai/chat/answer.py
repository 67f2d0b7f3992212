"""A chat's answer, whole or in chunks, in the shape of OpenAI's API."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from penstock.core.generation import (
    CallArguments,
    CallStarted,
    Event,
    Reasoning,
    Started,
    Stopped,
    Text,
    TokenLogprob,
    Usage,
)
from penstock.protocols import ids
from penstock.protocols.generation.answers import Answer, Choice
from penstock.protocols.openai.chat.request import ChatRequest
from penstock.protocols.openai.usage import logprobs_of, usage_of


def chat_answer(message: ChatRequest, answer: Answer, told: Mapping[str, Any]) -> dict[str, Any]:
    """The body of an answer that is not streamed; `told`: what it says of who answered."""
    choices = [_choice(index, choice, bool(message.logprobs)) for index, choice in enumerate(answer.choices)]
    return {**_head(message, "chat.completion"), "choices": choices, "usage": usage_of(answer.usage), **told}


def _head(message: ChatRequest, object: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{ids.token(12)}",
        "object": object,
        "created": int(time.time()),
        "model": message.model,
        "system_fingerprint": None,
    }


def _choice(index: int, choice: Choice, logprobs: bool) -> dict[str, Any]:
    said: dict[str, Any] = {"role": "assistant", "content": choice.text, "refusal": None}
    if choice.reasoning:
        said |= _reasoning(choice.reasoning)
    if choice.calls:
        said["content"] = choice.text or None
        said["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in choice.calls
        ]
    return {
        "index": index,
        "message": said,
        "logprobs": {"content": logprobs_of(choice.logprobs), "refusal": None} if logprobs else None,
        "finish_reason": choice.reason,
    }


def _reasoning(text: str) -> dict[str, str]:
    """Thoughts under both names that clients look for."""
    return {"reasoning_content": text, "reasoning": text}


class ChatChunks:
    """Events to the chunks of a streamed answer."""

    def __init__(self, message: ChatRequest, choices: int):
        self._head = _head(message, "chat.completion.chunk")
        self._choices = choices
        self._logprobs = bool(message.logprobs)
        options = message.stream_options
        self._usage = options is not None and bool(options.include_usage or options.continuous_usage_stats)
        self._continuous = options is not None and bool(options.continuous_usage_stats)
        self._prompt = Started(0)
        self._tokens = 0

    def chunks(self, event: Event) -> list[dict[str, Any]]:
        """What to send at this event: first of all each choice's role."""
        if isinstance(event, Started):
            self._prompt = event
            first = {"role": "assistant", "content": "", "refusal": None}
            return [self._chunk(index, first) for index in range(self._choices)]
        self._tokens += event.tokens
        if isinstance(event, Stopped):
            return [self._chunk(event.choice, {}, reason=event.reason)]
        if isinstance(event, Text):
            return [self._chunk(event.choice, {"content": event.text}, event.logprobs)]
        return [self._chunk(event.choice, _delta(event))]

    def _chunk(
        self,
        choice: int,
        delta: dict[str, Any],
        logprobs: tuple[TokenLogprob, ...] = (),
        reason: str | None = None,
    ) -> dict[str, Any]:
        shown = {"content": logprobs_of(logprobs), "refusal": None} if self._logprobs and logprobs else None
        found = {"index": choice, "delta": delta, "logprobs": shown, "finish_reason": reason}
        return {**self._head, "choices": [found], **self._so_far()}

    def _so_far(self) -> dict[str, Any]:
        """Until the end the usage is null, or what is known of it."""
        if not self._usage:
            return {}
        known = self._continuous and self._tokens
        usage = Usage(self._prompt.prompt_tokens, self._prompt.cached_tokens, self._tokens)
        return {"usage": usage_of(usage) if known else None}

    def last(self, usage: Usage, told: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The usage, where it was asked for, and who answered."""
        return [{**self._head, "choices": [], "usage": usage_of(usage), **told}] if self._usage else []


def _delta(event: Reasoning | CallStarted | CallArguments) -> dict[str, Any]:
    if isinstance(event, Reasoning):
        return {**_reasoning(event.text)}
    if isinstance(event, CallArguments):
        return {"tool_calls": [{"index": event.call, "function": {"arguments": event.text}}]}
    function = {"name": event.name, "arguments": ""}
    return {"tool_calls": [{"index": event.call, "id": event.id, "type": "function", "function": function}]}
