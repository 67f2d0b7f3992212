"""Anthropic's messages and tools as a `Generation`."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from penstock.core.generation import Call, Generation, Message, Sampling, Tool
from penstock.protocols.anthropic.messages import (
    Block,
    CountRequest,
    MessagesRequest,
    TextBlock,
    ThinkingBlock,
    ToolResultBlock,
    ToolSpec,
    ToolUseBlock,
    Turn,
)
from penstock.protocols.reading import wrong

_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}").fullmatch
_THINK = {"enabled": True, "disabled": False, "adaptive": None}
_CHOICES = {"auto": "auto", "any": "required", "none": "none"}


def generation_of(message: MessagesRequest) -> Generation:
    """What an answer is asked for. Raises `BadInput` naming the field."""
    sampling = Sampling(
        max_tokens=message.max_tokens,
        temperature=message.temperature,
        top_p=message.top_p,
        top_k=message.top_k,
        stop=tuple(message.stop_sequences or ()),
    )
    return msgspec.structs.replace(count_of(message), sampling=sampling, count_only=False)


def count_of(message: CountRequest) -> Generation:
    """What tokens are counted of. Raises `BadInput` naming the field."""
    if not message.messages:
        raise wrong("messages", "messages is empty; send at least one")
    tools = tools_of(message.tools or [])
    choice, output = message.tool_choice, message.output_config
    return Generation(
        messages=conversation(message.system, message.messages),
        tools=tools,
        tool_choice=choice_of(message, tools),
        parallel_calls=not (choice is not None and choice.disable_parallel_tool_use),
        format=output.format.schema if output is not None and output.format is not None else None,
        think=None if message.thinking is None else _THINK[message.thinking.type],
        count_only=True,
    )


def choice_of(message: CountRequest, tools: Sequence[Tool]) -> str:
    """The tool choice in our words. Raises `BadInput` for a tool that is not among the tools."""
    choice = message.tool_choice
    if choice is None:
        return "auto"
    if choice.type != "tool":
        if choice.type == "any" and not tools:
            raise wrong("tool_choice", 'tool_choice "any" needs tools; send at least one')
        return _CHOICES[choice.type]
    if choice.name not in {tool.name for tool in tools}:
        names = ", ".join(tool.name for tool in tools[:10]) or "none"
        raise wrong("tool_choice", f"tool_choice names no tool of the request; its tools: {names}")
    return f"={choice.name}"


def tools_of(specs: Sequence[ToolSpec]) -> tuple[Tool, ...]:
    """The client's tools. Raises `BadInput` for those of Anthropic's own, and for senseless ones."""
    tools = [_tool(spec, f"tools[{index}]") for index, spec in enumerate(specs)]
    names = [tool.name for tool in tools]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise wrong("tools", f"two tools are named {twice!r}; give each a name of its own")
    return tuple(tools)


def _tool(spec: ToolSpec, where: str) -> Tool:
    if spec.type not in (None, "custom"):
        raise wrong("tools", f"{where}: tools of type {spec.type[:64]!r} are not offered; send tools of your own")
    if spec.defer_loading or spec.input_examples or (spec.allowed_callers or ["direct"]) != ["direct"]:
        says = "defer_loading, input_examples and allowed_callers are not offered; leave them out"
        raise wrong("tools", f"{where}: {says}")
    if not _TOOL_NAME(spec.name):
        raise wrong("tools", f"{where}.name must be 1 to 128 letters, digits, _ or -")
    if spec.input_schema is None:
        raise wrong("tools", f"{where}.input_schema is missing; it is the JSON Schema of the tool's arguments")
    return Tool(spec.name, spec.description or "", spec.input_schema, bool(spec.strict))


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
        if role != "assistant":
            raise wrong("messages", f"{where}: only the assistant's messages have such blocks")
        if isinstance(block, ThinkingBlock):
            return Message("assistant", reasoning=block.thinking)
        return self._call(block)

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
        text = joined(block.content or "")
        return Message("tool", f"Error: {text}" if block.is_error else text, call_id=block.tool_use_id, name=name)


def joined(content: str | list[TextBlock]) -> str:
    """The text of a text, or of blocks."""
    return content if isinstance(content, str) else "\n".join(block.text for block in content)
