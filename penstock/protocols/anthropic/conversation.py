"""Anthropic's messages and tools as a `Generation`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from penstock.core.errors import TooLarge
from penstock.core.generation import Generation, Message, Sampling, Tool
from penstock.protocols.anthropic.messages import (
    CountRequest,
    MessagesRequest,
    OutputConfig,
    TextBlock,
    ToolChoice,
    ToolSpec,
    Turn,
    read_count,
    read_messages,
)
from penstock.protocols.anthropic.turns import Talk, joined
from penstock.protocols.generation.limits import (
    MAX_MESSAGES,
    check_count,
    check_schema,
    named_tool,
    stops_of,
    tools_of,
    top_k_of,
    top_p_of,
)
from penstock.protocols.reading import wrong

_THINK = {"enabled": True, "disabled": False, "adaptive": None}
_CHOICES = {"auto": "auto", "any": "required", "none": "none"}


def read_asked(body: bytes | bytearray) -> tuple[MessagesRequest, Generation]:
    """The message of a request for an answer, and what it asks for. Raises `BadInput` naming the field, `TooLarge`."""
    message = read_messages(body)
    return message, generation_of(message)


def read_counted(body: bytes | bytearray) -> tuple[CountRequest, Generation]:
    """The same of a request for a number of tokens."""
    message = read_count(body)
    return message, count_of(message)


def generation_of(message: MessagesRequest) -> Generation:
    """What an answer is asked for. Raises `BadInput` naming the field."""
    sampling = Sampling(
        max_tokens=message.max_tokens,
        temperature=message.temperature,
        top_p=top_p_of(message.top_p),
        top_k=top_k_of(message.top_k),
        stop=stops_of(message.stop_sequences, "stop_sequences"),
    )
    return msgspec.structs.replace(count_of(message), sampling=sampling, count_only=False)


def count_of(message: CountRequest) -> Generation:
    """What tokens are counted of. Raises `BadInput` naming the field."""
    check_count("messages", message.messages, MAX_MESSAGES, 1)
    tools = tools_of(
        (f"tools[{index}]", _tool(spec, f"tools[{index}]")) for index, spec in enumerate(message.tools or ())
    )
    choice = message.tool_choice
    return Generation(
        messages=conversation(message.system, message.messages),
        tools=tools,
        tool_choice=choice_of(choice, tools),
        parallel_calls=not (choice is not None and choice.disable_parallel_tool_use),
        format=_format(message.output_config),
        think=None if message.thinking is None else _THINK[message.thinking.type],
        count_only=True,
    )


def choice_of(choice: ToolChoice | None, tools: Sequence[Tool]) -> str:
    """The tool choice in our words. Raises `BadInput` for a tool that is not among the tools."""
    if choice is None:
        return "auto"
    if choice.type == "tool":
        return named_tool(choice.name or "", tools)
    if choice.type == "any" and not tools:
        raise wrong("tool_choice", 'tool_choice "any" needs tools; send at least one')
    return _CHOICES[choice.type]


def _tool(spec: ToolSpec, where: str) -> Tool:
    if spec.type not in (None, "custom"):
        raise wrong("tools", f"{where}: tools of type {spec.type[:64]!r} are not offered; send tools of your own")
    if spec.defer_loading or spec.input_examples or (spec.allowed_callers or ["direct"]) != ["direct"]:
        says = "defer_loading, input_examples and allowed_callers are not offered; leave them out"
        raise wrong("tools", f"{where}: {says}")
    if spec.input_schema is None:
        raise wrong("tools", f"{where}.input_schema is missing; it is the JSON Schema of the tool's arguments")
    return Tool(spec.name, spec.description or "", spec.input_schema, bool(spec.strict))


def _format(config: OutputConfig | None) -> dict[str, Any] | None:
    if config is None or config.format is None:
        return None
    check_schema(config.format.schema, "output_config", "output_config.format")
    return config.format.schema


def conversation(system: str | list[TextBlock] | None, turns: Sequence[Turn]) -> tuple[Message, ...]:
    """The messages in our words: every tool result is one of its own, and neighbours of one role are put together.

    Raises `BadInput` for blocks where they do not belong, and when the last turn is not for the model to answer,
    `TooLarge` for more blocks than a conversation may have.
    """
    talk = Talk()
    blocks = sum(1 if isinstance(turn.content, str) else len(turn.content) for turn in turns)
    if blocks > MAX_MESSAGES:
        raise wrong("messages", f"messages have {blocks} blocks of content, at most {MAX_MESSAGES}", TooLarge)
    if text := joined(system or ""):
        talk.say("system", text)
    for index, turn in enumerate(turns):
        talk.turn(turn, f"messages[{index}]")
    if turns[-1].role == "assistant":
        says = "the last message is the assistant's; going on with it is not offered: end with a user's message"
        raise wrong("messages", says)
    return talk.whole()
