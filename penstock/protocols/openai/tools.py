"""Tools, the choice among them, and the format of an answer, as OpenAI's two APIs write them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from penstock.core.errors import BadInput
from penstock.core.generation import Tool
from penstock.protocols.generation.limits import check_schema, named_tool, tools_of
from penstock.protocols.reading import wrong

MODES = ("auto", "none", "required")


class Function(msgspec.Struct, forbid_unknown_fields=True):
    """A function that the model may call."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ChatTool(msgspec.Struct, forbid_unknown_fields=True):
    """A tool of a chat; only functions are offered."""

    type: str
    function: Function | None = None
    custom: Any = None


def function_tool(function: Function) -> Tool:
    """A function as the path knows it."""
    schema = function.parameters or {}
    return Tool(function.name, function.description or "", schema, bool(function.strict))


def chat_tools(given: Sequence[ChatTool] | None) -> tuple[Tool, ...]:
    """The tools of a chat. Raises `BadInput` naming the one that cannot be one."""
    return tools_of((f"tools[{i}].function", function_tool(_function(t, i))) for i, t in enumerate(given or ()))


def _function(tool: ChatTool, index: int) -> Function:
    if tool.type != "function" or tool.function is None:
        raise only_functions(index, tool.type)
    return tool.function


def only_functions(index: int, type: str) -> BadInput:
    """The refusal of any other tool."""
    says = f'tools[{index}] is of type {type[:64]!r}; only functions are offered: {{"type": "function", ...}}'
    return wrong("tools", says)


def choice_of(given: str | dict[str, Any] | None, tools: tuple[Tool, ...]) -> tuple[str, tuple[Tool, ...]]:
    """How tools are chosen, and among which ("auto" without a wish). Raises `BadInput` for a choice that is unknown, or
    impossible."""
    if given is None or isinstance(given, str):
        return _mode(given or "auto", tools), tools
    kind = given.get("type")
    if kind == "function":
        return named_tool(_name(given), tools), tools
    if kind == "allowed_tools":
        allowed = given.get("allowed_tools", given)
        return _allowed(allowed if isinstance(allowed, dict) else {}, tools)
    raise _unknown(kind)


def _mode(mode: str, tools: tuple[Tool, ...]) -> str:
    if mode not in MODES:
        raise _unknown(mode)
    if mode == "required" and not tools:
        raise wrong("tool_choice", "tool_choice is required, but there are no tools; send some")
    return mode


def _allowed(allowed: dict[str, Any], tools: tuple[Tool, ...]) -> tuple[str, tuple[Tool, ...]]:
    """A choice among some of the tools."""
    listed = allowed.get("tools")
    items = [item for item in listed if isinstance(item, dict)] if isinstance(listed, list) else []
    names = {named_tool(_name(item), tools) for item in items}
    some = tuple(tool for tool in tools if f"={tool.name}" in names)
    mode = allowed.get("mode", "auto")
    if mode not in ("auto", "required") or not some:
        raise wrong("tool_choice", 'allowed_tools takes mode ("auto" or "required"), and tools: a list of functions')
    return mode, some


def _name(choice: dict[str, Any]) -> str:
    """The function's name, as chats nest it, or as responses have it."""
    function = choice.get("function", choice)
    name = function.get("name") if isinstance(function, dict) else None
    if not isinstance(name, str):
        says = 'tool_choice names no function; it is {"type": "function", "function": {"name": "..."}}'
        raise wrong("tool_choice", says)
    return name


def _unknown(given: object) -> BadInput:
    says = f"tool_choice is {str(given)[:64]!r}; it is auto, none, required, or one function: "
    return wrong("tool_choice", says + '{"type": "function", "function": {"name": "..."}}')


class SchemaFormat(msgspec.Struct, forbid_unknown_fields=True):
    """A JSON Schema that an answer follows. `schema` is always obeyed, whatever `strict` says."""

    schema: dict[str, Any]
    name: str | None = None
    description: str | None = None
    strict: bool | None = None


class ResponseFormat(msgspec.Struct, forbid_unknown_fields=True):
    """The format of a chat's answer."""

    type: str
    json_schema: SchemaFormat | None = None


def format_of(given: ResponseFormat | None) -> dict[str, Any] | None:
    """The schema that an answer follows: None for free text, {} for any JSON object. Raises `BadInput`."""
    if given is None or given.type == "text":
        return None
    if given.type == "json_object":
        return {}
    if given.type != "json_schema":
        says = f"response_format.type is {given.type[:64]!r}; it is text, json_object or json_schema"
        raise wrong("response_format", says)
    if given.json_schema is None:
        says = 'response_format is json_schema, but json_schema is missing; it is {"name": "...", "schema": {...}}'
        raise wrong("response_format", says)
    check_schema(given.json_schema.schema, "response_format", "response_format.json_schema")
    return given.json_schema.schema
