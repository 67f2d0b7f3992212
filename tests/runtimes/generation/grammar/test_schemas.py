"""What a schema's grammar lets through, keyword by keyword."""

from __future__ import annotations

import json
import time
from contextlib import nullcontext
from typing import Any

import pytest

from penstock.core.errors import BadInput
from penstock.runtimes.generation.grammar import schema_grammar
from tests.runtimes.generation.grammar.recognizer import Grammar

LIST = {
    "$defs": {
        "node": {
            "type": "object",
            "properties": {"v": {"type": "integer"}, "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
            "required": ["v", "next"],
            "additionalProperties": False,
        }
    },
    "$ref": "#/$defs/node",
}
PERSON = {
    "title": "Person",
    "description": "as Pydantic writes it",
    "type": "object",
    "properties": {"name": {"type": "string", "title": "Name"}, "age": {"type": "integer", "default": 3}},
    "required": ["name"],
}
SHAPES = {
    "oneOf": [
        {"type": "object", "properties": {"kind": {"const": "dot"}, "x": {"type": "integer"}}, "required": ["kind"]},
        {"type": "object", "properties": {"kind": {"const": "text"}, "t": {"type": "string"}}, "required": ["kind"]},
    ],
    "discriminator": {"propertyName": "kind"},
}
CASES: list[tuple[dict[str, Any], list[str], list[str]]] = [
    (
        {},
        ["{}", '{"a":1}', '{ "a": [1, {"b": null}] }', '{\n  "a": "\\n"\n}'],
        ["[]", "1", "", "{}{}", "{  }", '{"a"}'],
    ),
    ({"type": "object"}, ["{}", '{"a": {}}'], ["null", "[]"]),
    (PERSON, ['{"name": "a"}', '{"name":"a","age":3}'], ['{"age":3}', "{}", '{"name":"a","x":1}', '{"name":1}']),
    (PERSON | {"additionalProperties": False}, ['{"name": "a"}'], ['{"name": "a", "b": 1}']),
    (
        PERSON | {"additionalProperties": {"type": "null"}},
        ['{"name": "a", "b": null}', '{"name": "a", "names": null, "nam": null, "": null}'],
        ['{"name": "a", "b": 1}', '{"name": "a", "age": null}', '{"name": "a", "name": null}', '{"b": null}'],
    ),
    ({"type": "object", "required": ["a"]}, ['{"a": [1]}'], ["{}", '{"b": 1}']),
    (
        {"properties": {"a": {}, "b": {}}},
        ["{}", '{"b": 1}', '{"a": 1, "b": 2}'],
        ['{"b": 1, "a": 2}', '{"a": 1,}', "{,}"],
    ),
    (LIST, ['{"v":1,"next":null}', '{"v":1,"next":{"v":-2,"next":null}}'], ['{"v":1}', '{"v":1,"next":{}}']),
    (SHAPES, ['{"kind": "dot", "x": 1}', '{"kind": "text"}'], ['{"kind": "text", "x": 1}', '{"kind": "other"}']),
    ({"type": "array"}, ["[]", '[1, "a", []]'], ["{}", "[1,]", "[,1]"]),
    (
        {"items": {"type": "boolean"}, "minItems": 1, "maxItems": 2},
        ["[true]", "[true, false]"],
        ["[]", "[true,true,true]"],
    ),
    ({"items": {"const": 0}, "minItems": 17, "maxItems": 40}, [json.dumps([0] * n) for n in (17, 33, 40)], ["[0,0]"]),
    ({"type": "array", "maxItems": 0}, ["[]", "[ ]"], ["[1]"]),
    ({"prefixItems": [{"const": 1}, {"const": 2}]}, ["[]", "[1]", "[1,2]"], ["[2]", "[1,1]", "[1,2,3]"]),
    ({"prefixItems": [{"const": 1}], "items": {"const": 2}, "maxItems": 3}, ["[1,2,2]", "[]"], ["[1,2,2,2]", "[2]"]),
    ({"prefixItems": [{"const": 1}], "minItems": 2}, ["[1,2]", '[1, "x", []]'], ["[1]", "[]"]),
    ({"prefixItems": [{"const": 1}, {"const": 2}], "items": False, "maxItems": 1}, ["[1]", "[]"], ["[1,2]"]),
    ({"type": "string"}, ['""', '"é水🙂"', '"\\"\\\\\\n"'], ['"', '"a', '"\n"', '"\\x"', '"\x00"', "a"]),
    ({"minLength": 2, "maxLength": 3}, ['"ab"', '"\\n水🙂"'], ['"a"', '"abcd"', '"\\n"']),
    ({"maxLength": 300}, ['"' + "a" * n + '"' for n in (0, 15, 16, 17, 256, 299, 300)], ['"' + "a" * 301 + '"']),
    ({"minLength": 290}, ['"' + "a" * n + '"' for n in (290, 291, 999)], ['"' + "a" * 289 + '"']),
    (
        {"enum": ["a", 1, None, {"b": [True]}, 'q"']},
        ['"a"', "1", "null", '{"b": [true]}', '"q\\""'],
        ["2", "true", '"b"'],
    ),
    ({"type": "string", "enum": ["a", 1]}, ['"a"'], ["1"]),
    ({"type": "number", "enum": ["a", 1, 1.5, True]}, ["1", "1.5"], ['"a"', "true"]),
    ({"const": "x"}, ['"x"'], ['"y"', "x"]),
    ({"type": ["integer", "null"]}, ["1", "-20", "null", "0"], ["1.5", "01", '"1"', "true"]),
    ({"type": "number"}, ["1", "-0.5", "1e5", "1.25E-10"], ["1.", ".5", "1e999", "NaN", "+1", "1" * 30]),
    ({"type": "boolean"}, ["true", "false"], ["True", "1"]),
    ({"anyOf": [{"const": 1}, {"type": "null"}, False]}, ["1", "null"], ["2"]),
    ({"allOf": [{"type": "integer", "minimum": 3}, {"maximum": 5}]}, ["3", "4", "5"], ["2", "6"]),
    ({"allOf": [{"enum": [1, 2, 3]}, {"enum": [2.0, 3, 4]}, {"const": 3}]}, ["3"], ["1", "2", "4"]),
    (
        {"allOf": [PERSON, {"properties": {"age": {"maximum": 9}}, "required": ["age"]}]},
        ['{"name": "a", "age": 9}'],
        ['{"name": "a", "age": 10}', '{"name": "a"}'],
    ),
    (
        {
            "type": "object",
            "properties": {"a": {"const": 1}, "b": {"const": 2}},
            "anyOf": [{"required": ["a"]}, {"required": ["b"]}],
        },
        ['{"a": 1}', '{"b": 2}', '{"a": 1, "b": 2}'],
        ["{}"],
    ),
    ({"$ref": "#/definitions/a~1b%20c", "definitions": {"a/b c": {"const": 7}}}, ["7"], ["8"]),
    (
        {"properties": {"a": {"type": "integer"}, "self": {"$ref": "#"}}},
        ['{"a": 1, "self": {"self": {}}}'],
        ['{"self": 1}'],
    ),
    ({"type": "integer", "uniqueItems": False, "multipleOf": 1, "x-order": 3, "$comment": "?"}, ["1"], ["1.5"]),
    ({"enum": ["https://", "http://", "http"]}, ['"https://"', '"http"'], ['"httpss://"', '"https"']),
]


@pytest.mark.parametrize("case", range(len(CASES)))
def test_what_follows_and_what_does_not(case: int) -> None:
    schema, good, bad = CASES[case]
    grammar = Grammar(schema_grammar(schema))
    for text in good:
        assert grammar.accepts(text), text
    for text in bad:
        assert not grammar.accepts(text), text


REFUSED: dict[str, tuple[Any, str]] = {
    "not a schema": ([1], "must be a JSON object"),
    "not": ({"not": {"type": "string"}}, "'not' cannot be enforced"),
    "if": ({"if": {}, "then": {}}, "'if' cannot be enforced"),
    "patternProperties": ({"patternProperties": {"a": {}}}, "use properties"),
    "uniqueItems": ({"type": "array", "uniqueItems": True}, "'uniqueItems'"),
    "multipleOf": ({"type": "integer", "multipleOf": 7}, "'multipleOf'"),
    "multipleOf of numbers": ({"type": "number", "multipleOf": 1}, "'multipleOf'"),
    "nullable": ({"type": "string", "nullable": True}, r"\[.string., .null.\]"),
    "a slip": ({"type": "string", "maxlength": 3}, "'maxlength'"),
    "deep inside": ({"properties": {"a": {"items": {"contains": {}}}}}, "'contains'"),
    "unknown type": ({"type": "objekt"}, "type must be one or several of"),
    "no type": ({"type": []}, "type must be"),
    "count": ({"maxItems": -1}, "maxItems must be an integer from 0 to"),
    "huge count": ({"maxLength": 10**9}, "maxLength must be an integer from 0 to"),
    "bound": ({"minimum": "1"}, "minimum must be a number"),
    "draft 4": ({"type": "integer", "minimum": 1, "exclusiveMinimum": True}, "exclusiveMinimum must be a number"),
    "required": ({"required": "a"}, "required must be a list of names"),
    "items": ({"items": [{"type": "string"}]}, "items must be a schema"),
    "format": ({"type": "string", "format": "regex"}, "these can be: date"),
    "two bounds": ({"type": "string", "pattern": "a", "maxLength": 3}, "pattern beside another"),
    "enum beside": ({"enum": [1, 2], "minimum": 2}, "list only values that fit"),
    "remote": ({"$ref": "https://example.com/x"}, "only references inside"),
    "nowhere": ({"$ref": "#/$defs/a"}, "leads nowhere"),
    "to a number": ({"$ref": "#/a/b", "x-a": 1}, "leads nowhere"),
    "itself": ({"$ref": "#"}, "refers to itself"),
    "circle": ({"$ref": "#/$defs/a", "$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}]}}}, "refers to itself"),
    "endless": ({"properties": {"a": {"$ref": "#"}}, "required": ["a"]}, "never ends"),
    "contradiction": ({"allOf": [{"type": "string"}, {"type": "null"}]}, "contradict"),
    "empty enum": ({"enum": []}, "contradict"),
    "empty range": ({"type": "integer", "minimum": 3, "maximum": 2}, "contradict"),
    "two patterns": ({"allOf": [{"pattern": "a"}, {"pattern": "b"}]}, "whose pattern differ"),
    "oneOf": ({"oneOf": [{"type": "string"}, {"minLength": 3}]}, "oneOf is enforced only"),
    "oneOf of numbers": ({"oneOf": [{"const": 1}, {"enum": [1.0, 2]}]}, "oneOf is enforced only"),
    "NaN": ({"const": float("nan")}, "what JSON cannot"),
    "surrogate": ({"const": "\ud800"}, "what JSON cannot"),
    "large": ({"const": "x" * 300_000}, "the limit is"),
    "many": ({"enum": list(range(30_000))}, "more than 20,000 values"),
    "tiny bound": ({"type": "number", "minimum": 1e-300}, "bounds of numbers"),
    "many texts": ({"enum": [str(at * 0x9E3779B97F4A7C15 % 2**64) for at in range(6000)]}, "shorten its enums"),
    "an enum inside of oneOf": (
        {"oneOf": [{"properties": {"k": {"enum": of}}, "required": ["k"]} for of in (5, ["b"])]},
        "oneOf is enforced",
    ),
    "many optional": ({"properties": {f"p{at}": {} for at in range(200)}}, "more than 128 properties that may be"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_by_name(name: str) -> None:
    schema, said = REFUSED[name]
    with pytest.raises(BadInput, match=said):
        schema_grammar(schema)


def test_sizes_are_bounded_in_time() -> None:
    deep: dict[str, Any] = {}
    for _ in range(100):
        deep = {"items": deep}
    doubled = {f"d{at}": {"allOf": [{"$ref": f"#/$defs/d{at + 1}"}] * 2} for at in range(30)}
    several = [{"anyOf": [{"required": [f"a{at}"]}, {"required": [f"b{at}"]}]} for at in range(20)]
    for schema in (deep, {"$ref": "#/$defs/d0", "$defs": {**doubled, "d30": {}}}, {"allOf": several}):
        with pytest.raises(BadInput):
            schema_grammar(schema)


@pytest.mark.parametrize("choices", [10, 14, 18, 60])
def test_choices_that_begin_alike_are_bounded_in_time(choices: int) -> None:
    """Each choice that two alternatives share doubled the grammar: 199 MB of 18 of them."""
    schema = {"type": "string", "pattern": f"^({'(a|b)' * choices}x|{'(a|b)' * choices}y)$"}
    begun = time.perf_counter()
    with pytest.raises(BadInput, match="begin alike") if choices > 10 else nullcontext():
        assert len(schema_grammar(schema)) < 50_000
    assert time.perf_counter() - begun < 5


@pytest.mark.parametrize("length", [1000, 50_000])
def test_texts_that_begin_alike_for_long_are_made(length: int) -> None:
    texts = ["x" * length + end for end in ("", "a", "ab", "b")]
    grammar = schema_grammar({"enum": texts})
    assert len(grammar) < length + 100
    if length == 1000:
        reader = Grammar(grammar)
        assert all(reader.accepts(json.dumps(text)) for text in texts)
        assert not any(reader.accepts(json.dumps(text)) for text in ("x" * 999, "x" * 1001, "x" * 1000 + "bb"))


def test_bounded_numbers_share_what_is_unbounded() -> None:
    """The engine's library took eight seconds for thirty of them."""
    bounded = {f"p{at}": {"type": "number", "minimum": at, "maximum": 1000 + at} for at in range(120)}
    assert len(schema_grammar({"properties": bounded, "required": list(bounded)})) < 35_000


def test_wide_and_deep_schemas_are_made() -> None:
    linked = {f"d{at}": {"properties": {"next": {"$ref": f"#/$defs/d{at + 1}"}}} for at in range(500)}
    schema = {"$ref": "#/$defs/d0", "$defs": {**linked, "d500": {"type": "null"}}}
    assert len(schema_grammar(schema)) < 200_000
    names = {f"property {at}": {"type": "string"} for at in range(128)}
    assert len(schema_grammar({"properties": names, "additionalProperties": {"type": "null"}})) < 200_000
    assert len(schema_grammar({"properties": names, "required": list(names)})) < 200_000
