"""Whatever is sent as a schema becomes a grammar or is refused in words."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.core.errors import BadInput
from penstock.core.generation import Tool
from penstock.runtimes.generation.grammar import calls_grammar, schema_grammar
from penstock.runtimes.generation.grammar.keywords import BY_TYPE, COMBINING, DESCRIBING, TYPES

KEYWORDS = ["type", "enum", "const", "not", "if", *COMBINING, *sorted(DESCRIBING)]
KEYWORDS += [name for names in BY_TYPE.values() for name in names]
NAMES = st.sampled_from(["a", "b", "k", "é", ""])
PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-20, 20),
    st.sampled_from([10**30, -(10**400), 1e-300, 1.5, float("nan"), float("inf"), "\ud800", "#", "#/$defs/a", "date"]),
    st.sampled_from([*TYPES, "^(a|b)+$", "(", "a{2,9}", "[", "\\", ["a"], ["k", "k"], [["a"]], {}, []]),
)


def nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    fitting = st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(TYPES),
            "properties": st.dictionaries(NAMES, inner, max_size=3),
            "required": st.lists(NAMES, max_size=2),
            "enum": st.one_of(inner, st.lists(inner, max_size=3)),
            "items": inner,
            **{name: st.lists(inner, min_size=1, max_size=3) for name in ("anyOf", "oneOf", "allOf", "prefixItems")},
            "$ref": st.sampled_from(["#", "#/$defs/a", "#/properties/k"]),
            "$defs": st.dictionaries(NAMES, inner, max_size=2),
        },
    )
    strange = st.dictionaries(st.sampled_from(KEYWORDS), inner, max_size=4)
    return st.one_of(fitting, strange, st.lists(inner, max_size=3))


ANYTHING = st.recursive(PLAIN, nested, max_leaves=12)


@given(ANYTHING)
@settings(max_examples=400, deadline=None)
def test_a_schema_becomes_a_grammar_or_is_refused(schema: Any) -> None:
    with suppress(BadInput):
        assert schema_grammar(schema).startswith("root ::= ")


@given(ANYTHING)
@settings(max_examples=100, deadline=None)
def test_so_do_the_parameters_of_a_tool(schema: Any) -> None:
    if not isinstance(schema, dict):
        return
    assert calls_grammar("hermes", [Tool("t", "", schema)], "required", True)
    with suppress(BadInput):
        assert calls_grammar("hermes", [Tool("t", "", schema, strict=True)], "required", True)


@pytest.mark.parametrize("depth", [50, 63])
def test_the_deepest_that_is_taken(depth: int) -> None:
    schema: dict[str, Any] = {"type": "null"}
    for _ in range((depth - 1) // 2):
        schema = {"oneOf": [schema]}
    assert schema_grammar(schema)
