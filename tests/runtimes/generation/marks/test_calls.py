"""Tool calls in an answer's text."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.runtimes.generation.marks.calls import CallFormat, Calls
from penstock.runtimes.generation.marks.hermes import Hermes
from penstock.runtimes.generation.marks.llama3 import Llama3
from penstock.runtimes.generation.marks.mistral import Mistral
from penstock.runtimes.generation.marks.think import Thoughts
from penstock.runtimes.generation.stops import Stops
from tests.runtimes.generation.marks.cutting import read, same_however_cut

NAMES = frozenset(["add", "weather"])
OSLO = '{"city": "Oslo"}'
CALLED = ("Called", "weather", OSLO)
OBJECT = f'{{"name": "weather", "arguments": {OSLO}}}'
PARAMETERS = f'{{"name": "weather", "parameters": {OSLO}}}'
HERMES = f"<tool_call>\n{OBJECT}\n</tool_call>"


def parts(format: CallFormat, text: str) -> list[Any]:
    return same_however_cut(lambda: [Calls(format, NAMES)], text, [])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (HERMES, [CALLED]),
        (HERMES + "\n" + HERMES, [CALLED, CALLED]),
        (f"I look.\n\n{HERMES}\n", [("Said", "I look."), CALLED]),
        (f"{HERMES}\n that is it ", [CALLED, ("Said", "that is it")]),
        (f"<tool_call>{OBJECT}", [CALLED]),
        (f"<tool_call>{OBJECT}</tool", [CALLED]),
        (f"<tool_call>{OBJECT}{HERMES}", [CALLED, CALLED]),
        ('<tool_call>{"name": "add"}</tool_call>', [("Called", "add", "{}")]),
        ('<tool_call>{"arguments": {"a": 1.50}, "name": "add"}</tool_call>', [("Called", "add", '{"a": 1.50}')]),
        (r'<tool_call>{"name": "add", "arguments": "{\"a\": 1}"}</tool_call>', [("Called", "add", '{"a": 1}')]),
        (
            '<tool_call>{"name": "add", "arguments": {"code": "</tool_call>\n}"}}</tool_call>',
            [("Called", "add", '{"code": "</tool_call>\\u000a}"}')],
        ),
    ],
)
def test_hermes(text: str, expected: list[Any]) -> None:
    assert parts(Hermes(), text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "nothing called",
        " nothing called ",
        "a < b <tool <tool_call",
        "<tool_call>",
        "<tool_call>  \n",
        "<tool_call>no json</tool_call>",
        '<tool_call>{"name": "weather", "arguments": {"city": "Os',
        '<tool_call>{"name": "unknown", "arguments": {}}</tool_call>',
        '<tool_call>{"name": "add", "arguments": [1]}</tool_call>',
        '<tool_call>{"name": "add", "arguments": null}</tool_call>',
        '<tool_call>{"name": "add", "arguments": {"a": NaN}}</tool_call>',
        '<tool_call>{"name": "add", "arguments": {]}}</tool_call>',
        "<tool_call>{'name': 'add'}</tool_call>",
        '<tool_call>{"name": 3}</tool_call>',
        '<tool_call>{"name": "\\ud800"}</tool_call>',
        '<tool_call>[{"name": "add"}]</tool_call>',
    ],
)
def test_what_is_no_whole_call_is_text(text: str) -> None:
    assert parts(Hermes(), text) == [("Said", text)]


def short(format: CallFormat, text: str) -> list[Any]:
    """What becomes of a text that the length ended."""
    return same_however_cut(lambda: [Calls(format, NAMES)], text, [], short=True)


@pytest.mark.parametrize(
    ("format", "text", "expected"),
    [
        (Hermes(), "<tool_call>", []),
        (Hermes(), '<tool_call>\n{"name": "weather", "arguments": {"city": "Os', []),
        (Hermes(), '<tool_call>\n{"name": "we', []),
        (Hermes(), "I look.\n\n<tool_ca", [("Said", "I look.")]),
        (Hermes(), f"{HERMES}\n<tool_call>{{", [CALLED]),
        (Hermes(), f"{HERMES}\n<tool", [CALLED]),
        (Hermes(), "a < b ", [("Said", "a < b ")]),
        (Hermes(), "<tool_call>no json", [("Said", "<tool_call>no json")]),
        (Llama3(), '{"name": "weather", "parameters": {"city"', []),
        (Llama3(), '\n{ "na', []),
        (Llama3(), '{"name": "Bob", "age": 3, "of": [', [("Said", '{"name": "Bob", "age": 3, "of": [')]),
        (Llama3(), '{"answer": "<', [("Said", '{"answer": "<')]),
        (Llama3(), '<|python_tag|>{"answer"', []),
        (Mistral(), f"Well. [TOOL_CALLS][{OBJECT}, ", [("Said", "Well.")]),
        (Mistral(), "[TOOL_CALLS]weather", []),
        (Mistral(), '[TOOL_CALLS]weather[ARGS]{"ci', []),
    ],
)
def test_a_call_that_the_length_cut_is_nothing(format: CallFormat, text: str, expected: list[Any]) -> None:
    assert short(format, text) == expected


def test_a_call_after_a_broken_one_is_a_call() -> None:
    assert parts(Hermes(), f"<tool_call>oh {HERMES}") == [("Said", "<tool_call>oh"), CALLED]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (PARAMETERS, [CALLED]),
        (f"\n {PARAMETERS}\n", [CALLED]),
        (f"<|python_tag|>{PARAMETERS}", [CALLED]),
        (f"{PARAMETERS}; {PARAMETERS}", [CALLED, CALLED]),
        (f"{PARAMETERS}\n{PARAMETERS}", [CALLED, CALLED]),
        (f"{PARAMETERS} done", [CALLED, ("Said", "done")]),
        (f"so: {PARAMETERS}", [("Said", f"so: {PARAMETERS}")]),
        ('{"name": "Bob", "parameters": {}}', [("Said", '{"name": "Bob", "parameters": {}}')]),
        (' {"a": 1} {"name": "add"}', [("Said", ' {"a": 1} {"name": "add"}')]),
        ("<|python_tag|>print(1)", [("Said", "<|python_tag|>print(1)")]),
        ('{"name": "add", "parameters": {"a"', [("Said", '{"name": "add", "parameters": {"a"')]),
    ],
)
def test_llama3(text: str, expected: list[Any]) -> None:
    assert parts(Llama3(), text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"[TOOL_CALLS][{OBJECT}]", [CALLED]),
        (f"[TOOL_CALLS] [{OBJECT}, {OBJECT}]", [CALLED, CALLED]),
        (f"Well. [TOOL_CALLS]weather[ARGS]{OSLO}", [("Said", "Well."), CALLED]),
        (f"[TOOL_CALLS]weather{OSLO}[TOOL_CALLS]weather[CALL_ID]aB3[ARGS]{OSLO}", [CALLED, CALLED]),
        (f"[TOOL_CALLS][{OBJECT}, {{}}]", [("Said", f"[TOOL_CALLS][{OBJECT}, {{}}]")]),
        (f"[TOOL_CALLS][{OBJECT}, ", [("Said", f"[TOOL_CALLS][{OBJECT}, ")]),
        ("[TOOL_CALLS][]", [("Said", "[TOOL_CALLS][]")]),
        ("[TOOL_CALLS]other[ARGS]{}", [("Said", "[TOOL_CALLS]other[ARGS]{}")]),
        ("[TOOL_CALLS]weather[ARGS]{]", [("Said", "[TOOL_CALLS]weather[ARGS]{]")]),
        ("[TOOL_CALLS]" + "x" * 600, [("Said", "[TOOL_CALLS]" + "x" * 600)]),
        ("[TOOL_CALLS]weather", [("Said", "[TOOL_CALLS]weather")]),
    ],
)
def test_mistral(text: str, expected: list[Any]) -> None:
    assert parts(Mistral(), text) == expected


def test_a_long_call_is_read_in_one_pass() -> None:
    long = '{"name": "add", "arguments": {"text": "' + "x" * 50_000 + '"}}'
    (called,) = read([Calls(Hermes(), NAMES)], ["<tool_call>", *long, "</tool_call>"])
    assert len(called[2]) > 50_000


FRAGMENTS = st.sampled_from(
    [
        "<tool_call>", "</tool_call>", "[TOOL_CALLS]", "[ARGS]", "[", "]", "<|python_tag|>", ";", "<think>", "</think>",
        OBJECT, PARAMETERS, OSLO, "weather", '{"name": "add", "arguments": {', "}", "{", '"', "\\", "\n", " ", "stop",
        "st", "<", "é🦊", '{"name": "no"}', "text ", "op",
    ]
)  # fmt: skip
FORMATS = st.sampled_from([Hermes, Llama3, Mistral])


@given(
    st.lists(FRAGMENTS, max_size=12),
    st.lists(st.integers(0, 300), max_size=12),
    FORMATS,
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
@settings(max_examples=400, deadline=None)
def test_any_cutting_gives_the_same(
    texts: list[str], places: list[int], format: type[CallFormat], opened: bool, stops: bool, short: bool
) -> None:
    def stages() -> list[Any]:
        found = [Thoughts(opened=opened), Calls(format(), NAMES)]
        return [*found, Stops(["stop", "t\n", "<<"])] if stops else found

    same_however_cut(stages, "".join(texts), places, short)
