"""The messages of a chat as the turns of a conversation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from penstock.core.generation import Call, Message, Role
from penstock.protocols.generation.limits import MAX_MESSAGES, arguments_of, check_count
from penstock.protocols.openai.content import Content, text_of
from penstock.protocols.reading import wrong

ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}
_KNOWN = "system, developer, user, assistant and tool"


class CalledFunction(msgspec.Struct, forbid_unknown_fields=True):
    """The function of an earlier call, with its arguments as JSON text."""

    name: str
    arguments: str = ""


class ToolCall(msgspec.Struct, forbid_unknown_fields=True):
    """A call that the model made in an earlier turn."""

    id: str
    function: CalledFunction
    type: Literal["function"] = "function"
    index: int | None = None


class ChatMessage(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One message, with everything that an answer has, so that answers can be sent back as they came."""

    role: str
    content: Content = None
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    annotations: Any = None
    audio: Any = None
    function_call: Any = None


def turns_of(messages: Sequence[ChatMessage]) -> tuple[Message, ...]:
    """The turns. Raises `BadInput` naming the message and field that cannot be one."""
    check_count("messages", messages, MAX_MESSAGES, least=1)
    called: dict[str, str] = {}
    return tuple(_turn(message, f"messages[{index}]", called) for index, message in enumerate(messages))


def _turn(message: ChatMessage, place: str, called: dict[str, str]) -> Message:
    """One turn. `called`: names of the functions called before, by the call's id."""
    role = ROLES.get(message.role)
    if role is None:
        raise wrong(f"{place}.role", f"{place}.role is {message.role[:64]!r}; roles are {_KNOWN}")
    for name in ("audio", "function_call"):
        if getattr(message, name) is not None:
            raise wrong(f"{place}.{name}", f"{place}.{name} is not read here; send text, and tool_calls for calls")
    if role == "assistant":
        return _assistant(message, place, called)
    if message.tool_calls:
        raise wrong(f"{place}.tool_calls", f"{place}.tool_calls belongs to role assistant, not {message.role}")
    text = text_of(message.content, f"{place}.content", f"{place}.content")
    if role == "tool":
        return _result(message, text, place, called)
    return Message(role, text, name=message.name or "")


def _assistant(message: ChatMessage, place: str, called: dict[str, str]) -> Message:
    calls = tuple(_call(call, f"{place}.tool_calls[{index}]") for index, call in enumerate(message.tool_calls or ()))
    called |= {call.id: call.name for call in calls}
    content = message.content if message.content is not None else message.refusal
    if content is None and calls:
        content = ""
    text = text_of(content, f"{place}.content", f"{place}.content")
    reasoning = message.reasoning_content or message.reasoning or ""
    return Message("assistant", text, calls, name=message.name or "", reasoning=reasoning)


def _call(call: ToolCall, place: str) -> Call:
    where = f"{place}.function.arguments"
    return Call(call.id, call.function.name, arguments_of(call.function.arguments, where, where))


def _result(message: ChatMessage, text: str, place: str, called: dict[str, str]) -> Message:
    """A tool's turn, with the name of the function whose result it is."""
    where, id = f"{place}.tool_call_id", message.tool_call_id
    if not id:
        raise wrong(where, f"{where} is missing; it is the id of the call that this is the result of")
    if id not in called:
        raise wrong(where, f"{where} is {id[:128]!r}, but no message before it has a tool call of that id")
    return Message("tool", text, call_id=id, name=called[id])
