"""Numbers between bounds, patterns and formats: against Python's own opinion."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

import jsonschema
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from penstock.core.errors import BadInput
from penstock.runtimes.generation.grammar import schema_grammar
from tests.runtimes.generation.grammar.recognizer import Grammar
from tests.runtimes.generation.grammar.schemas import PATTERNS

BOUNDS = st.sampled_from(["minimum", "exclusiveMinimum"]), st.sampled_from(["maximum", "exclusiveMaximum"])
TENTHS = st.sampled_from([0, 1, -1, 0.5, 0.25, 0.1, 2.75, -0.5, 10, 3.14159, -2.5, 99, -100])
WRITTEN = [
    "0",
    "1",
    "-1",
    "0.5",
    "0.50",
    "0.25",
    "0.1",
    "2.75",
    "-0.5",
    "10.0",
    "3.14159",
    "0.001",
    "-0.001",
    "0.2500001",
]
WRITTEN += ["0.2499", "100.5", "-100.5", "3.1", "0.9", "-0.4", "-0.50001", "99", "98.9", "-2.5", "-2.6"]


@settings(deadline=None, max_examples=150)
@given(*BOUNDS, st.integers(-3000, 3000), st.integers(0, 4000), st.lists(st.integers(-7000, 7000), max_size=8))
def test_integers_between_bounds(low: str, high: str, first: int, width: int, others: list[int]) -> None:
    schema = {"type": "integer", low: first, high: first + width}
    assume(width > 1)
    grammar = Grammar(schema_grammar(schema))
    for value in [*others, first, first + 1, first - 1, first + width, first + width + 1, 0, -1]:
        assert grammar.accepts(str(value)) == jsonschema.Draft202012Validator(schema).is_valid(value), value


@settings(deadline=None, max_examples=150)
@given(st.dictionaries(BOUNDS[0], TENTHS, max_size=1), st.dictionaries(BOUNDS[1], TENTHS, max_size=1))
def test_decimals_between_bounds(low: dict[str, float], high: dict[str, float]) -> None:
    schema: dict[str, Any] = {"type": "number", **low, **high}
    valid = jsonschema.Draft202012Validator(schema).is_valid
    wanted = [text for text in WRITTEN if valid(float(text))]
    try:
        grammar = Grammar(schema_grammar(schema))
    except BadInput:
        assert not wanted
        return
    assert [text for text in WRITTEN if grammar.accepts(text)] == wanted


def test_bounds_are_exact_where_floats_are_not() -> None:
    grammar = Grammar(schema_grammar({"type": "number", "minimum": 0.1, "maximum": 0.3}))
    for text in ("0.1", "0.10", "0.3", "0.30000000000000", "0.2999"):
        assert grammar.accepts(text) == (Decimal("0.1") <= Decimal(text) <= Decimal("0.3"))
    assert not grammar.accepts("0.3000000000000001")


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(PATTERNS), st.data())
def test_patterns_are_pythons(pattern: str, data: st.DataObject) -> None:
    text = data.draw(
        st.from_regex(pattern, alphabet=st.characters(codec="ascii", max_codepoint=126))
        | st.text("abcredoul0-9@._,\n", max_size=8)
    )
    grammar = grammar_of(pattern)
    if any(character < " " and character not in "\n\r\t\b\f" for character in text):
        return
    assert grammar.accepts(json.dumps(text)) == bool(re.search(pattern.replace("$", r"\Z"), text))


GRAMMARS: dict[str, Grammar] = {}


def grammar_of(pattern: str) -> Grammar:
    if pattern not in GRAMMARS:
        GRAMMARS[pattern] = Grammar(schema_grammar({"type": "string", "pattern": pattern}))
    return GRAMMARS[pattern]


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        ("b", ['"b"', '"abc"'], ['"ac"']),
        ("^b", ['"bc"'], ['"ab"']),
        ("b$", ['"ab"'], ['"bc"']),
        ("^$", ['""'], ['"a"']),
        ("^a|b$", ['"ac"', '"cb"'], ['"cac"']),
        ("^(?:a|b){2}?$", ['"ab"'], ['"a"']),
        ("^.$", ['"a"', '"水"', '"\\""'], ['"\\n"', '""']),
        ("^[\\]a-]+$", ['"]a-"'], ['"b"']),
        ("^\\u0041\\x42$", ['"AB"'], ['"ab"']),
        ("^[^\\s,]+$", ['"a;é"'], ['"a b"', '"a,b"']),
        ("^\\W\\D$", ['"-a"'], ['"aa"', '"-1"']),
        ("^a{3}$", ['"aaa"'], ['"aa"', '"aaaa"']),
        ("^a{20,}$", ['"' + "a" * 30 + '"'], ['"' + "a" * 19 + '"']),
        ("^\t\\t$", ['"\\t\\t"'], ['"\t\t"']),
    ],
)
def test_patterns(pattern: str, good: list[str], bad: list[str]) -> None:
    grammar = grammar_of(pattern)
    assert [text for text in good if not grammar.accepts(text)] == []
    assert [text for text in bad if grammar.accepts(text)] == []


@pytest.mark.parametrize(
    "pattern",
    [
        "(?=a)b", "(?!a)b", "(?<=a)b", "(?<name>a)", "(?i)a", "(a)\\1", "\\bword", "a\\B", "\\p{L}", "a**", "a{2}{3}",
        "*a", "a|*", "(a", "a)", "[a", "a\\", "[b-a]", "a{3,2}", "a{x}", "(^a)", "(a$)b", "a^b", "[[:alpha:]]",
        "\\ud800", "a{999999999999}", "((a{1,99}){1,99}){1,99}", "(a{1,30}){1,30}", "(" * 500 + ")" * 500,
        "a" * 5000, "a++", "\\k<a>",
    ],
)  # fmt: skip
def test_patterns_that_are_refused(pattern: str) -> None:
    with pytest.raises(BadInput, match="pattern"):
        schema_grammar({"type": "string", "pattern": pattern})


@pytest.mark.parametrize("part", ["a+", "\\w+\\s?", "a?", "a|ab", "(a+b*)", "a{1,3}", ".*a", "(x|ab+)a?b?"])
def test_what_has_no_clear_end_is_counted_to_five_only(part: str) -> None:
    assert schema_grammar({"type": "string", "pattern": f"^({part}){{1,5}}$"})
    with pytest.raises(BadInput, match="no clear end"):
        schema_grammar({"type": "string", "pattern": f"^({part}){{1,6}}$"})


@pytest.mark.parametrize("part", ["a+,", "\\w+\\s", "ab?", "a|b", "[a-z]{3}", "a{3}", "(a|b+c)"])
def test_what_has_a_clear_end_is_counted_further(part: str) -> None:
    assert schema_grammar({"type": "string", "pattern": f"^({part}){{1,20}}$"})


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("date", ["2024-02-28", "1999-12-31", "2000-04-30"], ["2024-02-30", "2024-13-01", "2024-04-31", "0000-01-01"]),
        ("time", ["12:34:56Z", "23:59:59.123+01:00"], ["24:00:00Z", "12:60:00Z", "12:34:56"]),
        ("date-time", ["2024-02-28T12:34:56Z"], ["2024-02-28 12:34:56Z", "2024-02-28"]),
        ("uuid", ["123e4567-e89b-12d3-a456-426614174000"], ["123e4567e89b12d3a456426614174000"]),
        ("email", ["ada.lovelace+x@example.org"], ["ada", "ada@", "@example.org", "a@b"]),
        ("ipv4", ["127.0.0.1", "255.255.255.255"], ["256.1.1.1", "1.2.3", "01.2.3.4"]),
        ("ipv6", ["2001:db8:0:0:0:0:0:1"], ["2001", "g:1:1:1:1:1:1:1"]),
        ("hostname", ["example.org", "a-b.c"], ["-a.org", "a..b", "a_b"]),
        ("uri", ["https://example.org/a?b=c"], ["example.org", "httpss://example.org"]),
        ("duration", ["P3D", "PT5M", "P2W"], ["3D", "P"]),
    ],
)
def test_formats(name: str, good: list[str], bad: list[str]) -> None:
    grammar = Grammar(schema_grammar({"type": "string", "format": name}))
    assert [text for text in good if not grammar.accepts(json.dumps(text))] == []
    assert [text for text in bad if grammar.accepts(json.dumps(text))] == []
