"""A completion, whole or in chunks, in the shape of OpenAI's older API."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from penstock.core.generation import Event, Started, Stopped, Text, Usage
from penstock.protocols import ids
from penstock.protocols.generation.answers import Answer
from penstock.protocols.openai.completions.logprobs import Positions
from penstock.protocols.openai.completions.request import CompletionRequest
from penstock.protocols.openai.usage import usage_of

Json = dict[str, Any]


def completion_answer(message: CompletionRequest, answer: Answer, told: Mapping[str, Any]) -> Json:
    """The body of an answer that is not streamed; `told`: what it says of who answered."""
    choices = []
    for index, choice in enumerate(answer.choices):
        shown = None if message.logprobs is None else Positions(message).of(choice.text, choice.logprobs)
        reason = "length" if message.max_tokens == 0 else choice.reason
        choices.append({"text": choice.text, "index": index, "logprobs": shown, "finish_reason": reason})
    return {**_head(message), "choices": choices, "usage": usage_of(answer.usage), **told}


def _head(message: CompletionRequest) -> Json:
    return {
        "id": f"cmpl-{ids.token(12)}",
        "object": "text_completion",
        "created": int(time.time()),
        "model": message.model,
        "system_fingerprint": None,
    }


class CompletionChunks:
    """Events to the chunks of a streamed completion."""

    def __init__(self, message: CompletionRequest, choices: int):
        self._head = _head(message)
        self._positions = [Positions(message) for _ in range(choices)]
        self._logprobs = message.logprobs is not None
        self._nothing_asked = message.max_tokens == 0
        options = message.stream_options
        self._usage = options is not None and bool(options.include_usage or options.continuous_usage_stats)
        self._continuous = options is not None and bool(options.continuous_usage_stats)
        self._prompt_tokens = 0
        self._tokens = 0

    def chunks(self, event: Event) -> list[Json]:
        """What to send at this event."""
        if isinstance(event, Started):
            self._prompt_tokens += event.prompt_tokens
            return []
        self._tokens += event.tokens
        if isinstance(event, Text):
            shown = self._positions[event.choice].of(event.text, event.logprobs) if self._logprobs else None
            return [self._chunk(event.choice, event.text, shown)]
        return [self._chunk(event.choice, "", None, event.reason)] if isinstance(event, Stopped) else []

    def _chunk(self, choice: int, text: str, logprobs: Json | None, reason: str | None = None) -> Json:
        found = {"text": text, "index": choice, "logprobs": logprobs, "finish_reason": reason}
        return {**self._head, "choices": [found], **self._so_far()}

    def _so_far(self) -> Json:
        """Until the end the usage is null, or what is known of it."""
        if not self._usage:
            return {}
        known = self._continuous and self._tokens
        return {"usage": usage_of(Usage(self._prompt_tokens, 0, self._tokens)) if known else None}

    def last(self, usage: Usage, told: Mapping[str, Any]) -> list[Json]:
        """The end of prompts that were only read, and the usage, where it was asked for, with who answered."""
        ends = enumerate(self._positions) if self._nothing_asked else ()
        found = [self._chunk(choice, "", None, "length") for choice, _ in ends]
        whole = {**self._head, "choices": [], "usage": usage_of(usage), **told}
        return [*found, whole] if self._usage else found
