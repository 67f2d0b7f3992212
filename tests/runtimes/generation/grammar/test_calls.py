"""Calls of tools as grammars, for each way that models write them."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.core.errors import BadInput
from penstock.core.generation import Tool
from penstock.runtimes.generation.grammar import calls_grammar
from tests.runtimes.generation.grammar.recognizer import Grammar

TOWN = Tool("weather", "", {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]}, True)
NOW = Tool("now")
HERMES = '<tool_call>\n{"name": "%s", "arguments": %s}\n</tool_call>'
CALLS = {
    "hermes": [HERMES % ("weather", '{"town": "Ulm"}'), HERMES % ("now", "{}")],
    "llama3": ['{"name": "weather", "parameters": {"town": "Ulm"}}', '{"name": "now", "parameters": {}}'],
    "mistral": [
        '[TOOL_CALLS][{"name": "weather", "arguments": {"town": "Ulm"}}]',
        '[TOOL_CALLS] [{"name": "now", "arguments": {}}]',
    ],
}


@pytest.mark.parametrize("format", CALLS)
def test_required_and_named_calls(format: Any) -> None:
    weather, now = CALLS[format]
    any_of_them = Grammar(calls_grammar(format, [TOWN, NOW], "required", True))
    assert any_of_them.accepts(weather)
    assert any_of_them.accepts(now)
    that_one = Grammar(calls_grammar(format, [TOWN, NOW], "=now", True))
    assert that_one.accepts(now)
    for wrong in (weather, "", "Hello", now[:-1], weather.replace("town", "city"), weather.replace('"Ulm"', "1")):
        assert not that_one.accepts(wrong)


def test_several_calls_only_where_they_may_be() -> None:
    weather, now = CALLS["hermes"]
    assert Grammar(calls_grammar("hermes", [TOWN, NOW], "required", True)).accepts(f"{weather}\n{now}")
    assert not Grammar(calls_grammar("hermes", [TOWN, NOW], "required", False)).accepts(f"{weather}\n{now}")
    two = '[TOOL_CALLS][{"name": "now", "arguments": {}}, {"name": "now", "arguments": {}}]'
    assert Grammar(calls_grammar("mistral", [NOW], "required", True)).accepts(two)
    assert not Grammar(calls_grammar("mistral", [NOW], "required", False)).accepts(two)


def test_a_strict_tool_is_enforced_or_refused() -> None:
    parameters = {"type": "object", "properties": {"a": {"not": {}}}}
    with pytest.raises(BadInput, match=r"strict tool 'f'.*'not'") as caught:
        calls_grammar("hermes", [Tool("f", "", parameters, True)], "required", True)
    assert caught.value.param == "tools"
    loose = Grammar(calls_grammar("hermes", [Tool("f", "", parameters)], "required", True))
    assert loose.accepts(HERMES % ("f", '{"whatever": [1]}'))


@pytest.mark.parametrize(("format", "wanted"), [("hermes", "=other"), ("none", "required")])
def test_calls_that_cannot_be_required(format: Any, wanted: str) -> None:
    with pytest.raises(BadInput) as caught:
        calls_grammar(format, [TOWN], wanted, True)
    assert caught.value.param == "tool_choice"
