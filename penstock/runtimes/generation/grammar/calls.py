"""Calls of tools as a grammar, in the way that a model writes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from penstock.core.errors import BadInput
from penstock.core.generation import Tool
from penstock.runtimes.generation.grammar.json_text import any_object, blank
from penstock.runtimes.generation.grammar.nodes import Node, Repeat, Text, choice, sequence
from penstock.runtimes.generation.grammar.rules import Rules
from penstock.runtimes.generation.grammar.schema import SchemaRules, check_size
from penstock.runtimes.generation.grammar.strings import literal

Format = Literal["hermes", "llama3", "mistral"]
_ARGUMENTS = {"hermes": "arguments", "llama3": "parameters", "mistral": "arguments"}


def calls_grammar(format: Format, tools: Sequence[Tool], wanted: str, parallel: bool) -> str:
    """The grammar of answers that call tools. `wanted`: "required" (any of them), or "=NAME" (that very one).
    `parallel`: several calls may come (Llama 3 makes one at a time).

    Arguments follow the tool's parameters; where these cannot be enforced, a strict tool is refused and the arguments
    of another are any JSON object. Raises `BadInput`, its `param` "tools" or "tool_choice".
    """
    rules = Rules()
    named = [tool for tool in tools if wanted in ("required", "=" + tool.name)]
    if not named:
        raise _wrong("tool_choice", f"no tool has the name {wanted.removeprefix('=')[:100]!r}")
    if format not in _ARGUMENTS:
        raise _wrong("tool_choice", "this model's way to call tools is not known, so a call cannot be required of it")
    call = rules.define("call", lambda: _any_call(rules, format, named), "call")
    return rules.text(_root(rules, format, call, parallel))


def _any_call(rules: Rules, format: Format, tools: list[Tool]) -> Node:
    return choice(*(_call(rules, format, tool) for tool in tools))


def _root(rules: Rules, format: Format, call: Node, parallel: bool) -> Node:
    if format == "hermes":
        marked = sequence(Text("<tool_call>\n"), call, Text("\n</tool_call>"))
        return sequence(marked, Repeat(sequence(Text("\n"), marked), 0, None)) if parallel else marked
    if format == "mistral":
        more = Repeat(sequence(Text(", "), call), 0, None)
        calls = sequence(call, more) if parallel else call
        return sequence(Text("[TOOL_CALLS]"), blank(rules), Text("["), calls, Text("]"))
    return call


def _call(rules: Rules, format: Format, tool: Tool) -> Node:
    head = f'{{"name": {literal(tool.name)}, "{_ARGUMENTS[format]}": '
    return sequence(Text(head), _arguments(rules, tool), Text("}"))


def _arguments(rules: Rules, tool: Tool) -> Node:
    if not tool.parameters:
        return any_object(rules)
    schema = {"type": "object", **tool.parameters}
    try:
        _check(schema)
    except BadInput as error:
        if tool.strict:
            raise _wrong("tools", f"the parameters of the strict tool {tool.name!r}: {error.message}") from error
        return any_object(rules)
    return SchemaRules(rules, schema).value(schema)


def _check(schema: dict[str, Any]) -> None:
    """Raises `BadInput` where the schema cannot be enforced. It is tried alone, so that what fails leaves no rules."""
    check_size(schema)
    rules = Rules()
    rules.text(SchemaRules(rules, schema).value(schema))


def _wrong(param: str, message: str) -> BadInput:
    error = BadInput(message)
    error.param = param
    return error
