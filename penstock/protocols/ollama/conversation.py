"""Ollama's messages, prompts and tools as a `Generation`."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from typing import Any

import msgspec

from penstock.core.generation import Call, Generation, Message, Tool
from penstock.protocols.generation.limits import MAX_MESSAGES, check_count, check_schema, tools_of
from penstock.protocols.ollama.messages import Asked, ChatRequest, GenerateRequest, ToolSpec, Turn
from penstock.protocols.ollama.options import Options, sampling_of
from penstock.protocols.reading import wrong

_ANY = ("", "")


def chat_generation(message: ChatRequest, options: Options) -> Generation:
    """What /api/chat asks for. Raises `BadInput` naming the field."""
    return Generation(
        messages=conversation(message.messages or []),
        sampling=sampling_of(options, _logprobs(message)),
        tools=_tools(message.tools or []),
        format=_format(message),
        think=_thinks(message),
    )


def prompt_generation(message: GenerateRequest, options: Options, template: bool) -> Generation:
    """What /api/generate asks for. `template`: the model has one, so the prompt is a user's message unless it is raw.

    Raises `BadInput` naming the field.
    """
    prompt, sampling = message.prompt or "", sampling_of(options, _logprobs(message))
    if message.raw or not template:
        if message.system:
            why = "raw is true" if message.raw else "the model has no chat template"
            raise wrong("system", f"system cannot be placed, since {why}; write it into the prompt")
        return Generation(prompt=prompt, sampling=sampling, format=_format(message))
    system = (Message("system", message.system),) if message.system else ()
    messages = (*system, Message("user", prompt))
    return Generation(
        messages=messages,
        sampling=sampling,
        format=_format(message),
        think=_thinks(message),
    )


def _tools(specs: Sequence[ToolSpec]) -> tuple[Tool, ...]:
    found = (spec.function for spec in specs)
    tools = (Tool(f.name, f.description or "", f.parameters or {}, bool(f.strict)) for f in found)
    return tools_of((f"tools[{index}]", tool) for index, tool in enumerate(tools))


def conversation(turns: Sequence[Turn]) -> tuple[Message, ...]:
    """The messages in our words. Raises `BadInput` for one that says nothing, or has images."""
    check_count("messages", turns, MAX_MESSAGES)
    calls = Calls()
    return tuple(_message(turn, f"messages[{index}]", calls) for index, turn in enumerate(turns))


class Calls:
    """Calls that wait for their results. Ollama's clients send no call ids, so each gets one by its place."""

    def __init__(self) -> None:
        self._count = 0
        self._waiting: defaultdict[tuple[str, str], deque[tuple[int, Call]]] = defaultdict(deque)
        self._answered: set[int] = set()

    def made(self, name: str, arguments: dict[str, Any], id: str | None) -> Call:
        """A call of the assistant's."""
        self._count += 1
        call = Call(id or f"call_{self._count}", name, msgspec.json.encode(arguments).decode())
        for key in (("id", call.id), ("name", name), _ANY):
            self._waiting[key].append((self._count, call))
        return call

    def answered(self, id: str | None, name: str | None) -> Call | None:
        """The call that a result is of: the one with its id, else the first that waits (of its name, if it has one)."""
        waiting = self._waiting[("id", id) if id else _ANY if name is None else ("name", name)]
        while waiting:
            number, call = waiting.popleft()
            if number not in self._answered:
                self._answered.add(number)
                return call
        return None


def _message(turn: Turn, where: str, calls: Calls) -> Message:
    if turn.images:
        raise wrong("messages", f"{where}.images: models here read text alone")
    if turn.content is None and not turn.tool_calls and not turn.thinking:
        raise wrong("messages", f"{where}.content is missing; it is a text")
    content = turn.content or ""
    if turn.role == "tool":
        call = calls.answered(turn.tool_call_id, turn.tool_name)
        id, name = (call.id, call.name) if call is not None else (turn.tool_call_id or "", turn.tool_name or "")
        return Message("tool", content, call_id=id, name=name)
    if turn.tool_calls and turn.role != "assistant":
        raise wrong("messages", f"{where}.tool_calls: only the assistant's messages have them")
    made = tuple(calls.made(c.function.name, c.function.arguments, c.id) for c in turn.tool_calls or ())
    return Message(turn.role, content, made, reasoning=turn.thinking or "")


def _format(message: Asked) -> dict[str, Any] | None:
    if message.format == "json":
        return {}
    if not isinstance(message.format, dict):
        return None
    check_schema(message.format, "format", "format")
    return message.format


def _logprobs(message: Asked) -> int | None:
    """How many alternatives to show; asking for some is asking for log-probabilities."""
    if message.logprobs or message.top_logprobs:
        return message.top_logprobs or 0
    return None


def _thinks(message: Asked) -> bool | None:
    """Whether to reason first: how much is a hint that models here have no use for."""
    return None if message.think is None else bool(message.think)
