"""Anthropic's messages and tools as a `Generation`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from penstock.core.errors import BadInput
from penstock.core.generation import Call, Generation, Message, Sampling, Tool
from penstock.protocols.anthropic.messages import (
    Block,
    CountRequest,
    DocumentBlock,
    ImageBlock,
    MessagesRequest,
    OutputConfig,
    RedactedThinkingBlock,
    TextBlock,
    ThinkingBlock,
    ToolChoice,
    ToolResultBlock,
    ToolSpec,
    ToolUseBlock,
    Turn,
)
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

    Raises `BadInput` for blocks where they do not belong, and when the last turn is not for the model to answer.
    """
    talk = Talk()
    if text := joined(system or ""):
        talk.add(Message("system", text))
    for index, turn in enumerate(turns):
        talk.turn(turn, f"messages[{index}]")
    if turns[-1].role == "assistant":
        says = "the last message is the assistant's; going on with it is not offered: end with a user's message"
        raise wrong("messages", says)
    return tuple(talk.messages)


class Talk:
    """A conversation so far, and the names of the tools that were called in it, by call id."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self._called: dict[str, str] = {}

    def turn(self, turn: Turn, where: str) -> None:
        """The next turn; `where` names it in errors."""
        if isinstance(turn.content, str):
            self.add(Message(turn.role, turn.content))
            return
        if not turn.content:
            raise wrong("messages", f"{where}.content is empty; send at least one block")
        for index, block in enumerate(turn.content):
            self.add(self._message(turn.role, block, f"{where}.content[{index}]"))

    def add(self, message: Message) -> None:
        """Another message; it continues the last one of the same role."""
        last = self.messages[-1] if self.messages else None
        if last is None or last.role != message.role or message.role == "tool":
            self.messages.append(message)
            return
        self.messages[-1] = Message(
            last.role,
            "\n".join(filter(None, (last.content, message.content))),
            last.calls + message.calls,
            reasoning="\n".join(filter(None, (last.reasoning, message.reasoning))),
        )

    def _message(self, role: str, block: Block, where: str) -> Message:
        if isinstance(block, TextBlock):
            return Message(role, block.text)  # type: ignore[arg-type]
        if isinstance(block, ToolResultBlock):
            return self._result(role, block, where)
        if isinstance(block, ImageBlock | DocumentBlock):
            raise _no_text(block, where)
        if role != "assistant":
            raise wrong("messages", f"{where}: only the assistant's messages have such blocks")
        if isinstance(block, ThinkingBlock):
            return Message("assistant", reasoning=block.thinking)
        return Message("assistant") if isinstance(block, RedactedThinkingBlock) else self._call(block)

    def _call(self, block: ToolUseBlock) -> Message:
        self._called[block.id] = block.name
        call = Call(block.id, block.name, msgspec.json.encode(block.input).decode())
        return Message("assistant", calls=(call,))

    def _result(self, role: str, block: ToolResultBlock, where: str) -> Message:
        if role != "user":
            raise wrong("messages", f"{where}: a tool_result belongs into a user's message")
        name = self._called.get(block.tool_use_id)
        if name is None:
            raise wrong("messages", f"{where}.tool_use_id answers no tool_use of the messages before it")
        text = joined(block.content or "", f"{where}.content")
        return Message("tool", f"Error: {text}" if block.is_error else text, call_id=block.tool_use_id, name=name)


def joined(content: str | Sequence[TextBlock | ImageBlock | DocumentBlock], where: str = "") -> str:
    """The text of a text, or of blocks. Raises `BadInput` for blocks of another kind; `where` names them."""
    return content if isinstance(content, str) else "\n".join(_text(b, f"{where}[{i}]") for i, b in enumerate(content))


def _text(block: TextBlock | ImageBlock | DocumentBlock, where: str) -> str:
    if not isinstance(block, TextBlock):
        raise _no_text(block, where)
    return block.text


def _no_text(block: ImageBlock | DocumentBlock, where: str) -> BadInput:
    kind = "an image" if isinstance(block, ImageBlock) else "a document"
    return wrong("messages", f"{where} is {kind}: models here read text only; send what it says as a text block")
