"""Random schemas of the keywords that are enforced, and schemas of every kind by name."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

NAMES = st.sampled_from(["a", "ab", "abc", "name", "names", "http", "https", "x y", 'q"q', "é", "type"])
VALUES: list[Any] = ["a", "ab", "http://", "https://", "red", "bred", "bredd", 1, 10, 1.5, True, None, [1, 2], {"a": 1}]
VALUES.append('é"\\\n')
PATTERNS = [
    "^[a-z]{1,10}$",
    "^(https?|ftp)://[a-z]+$",
    "^colou?r$",
    "^(red|bred|bredd|reda)$",
    "^a{2,40}b$",
    "^(ab|abc|a)*c$",
    r"^\d{3}-\d{4}$",
    "^[^a-z]+$",
    r"^\S+@\S+$",
    r"^(\w+\.)+\w{2,3}$",
    r'^["\\\n]x.$',
]
FORMATS = ["date", "time", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "uri", "uuid"]


@st.composite
def strings(draw: st.DrawFn) -> dict[str, Any]:
    low = draw(st.integers(0, 20))
    high = low + draw(st.integers(0, 60))
    kinds = [{}, {"minLength": low}, {"maxLength": high}, {"minLength": low, "maxLength": high}]
    kinds += [{"pattern": draw(st.sampled_from(PATTERNS))}, {"format": draw(st.sampled_from(FORMATS))}]
    return {"type": "string", **draw(st.sampled_from(kinds))}


@st.composite
def numbers(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(["integer", "number"]))
    low = draw(st.sampled_from([-1000, -15, -1, 0, 1, 3, 99] + ([-0.5, 0.25] if kind == "number" else [])))
    bounds: dict[str, Any] = {}
    if draw(st.booleans()):
        bounds[draw(st.sampled_from(["minimum", "exclusiveMinimum"]))] = low
    if draw(st.booleans()):
        bounds[draw(st.sampled_from(["maximum", "exclusiveMaximum"]))] = low + draw(st.integers(2, 2000))
    return {"type": kind, **bounds}


@st.composite
def objects(draw: st.DrawFn, inner: st.SearchStrategy[Any]) -> dict[str, Any]:
    properties = draw(st.dictionaries(NAMES, inner, max_size=4))
    required = [name for name in properties if draw(st.booleans())]
    others = draw(st.sampled_from([{}, {"additionalProperties": False}, {"additionalProperties": True}]))
    return {"type": "object", "properties": properties, "required": required, **others}


@st.composite
def arrays(draw: st.DrawFn, inner: st.SearchStrategy[Any]) -> dict[str, Any]:
    low = draw(st.integers(0, 3))
    found: dict[str, Any] = {"type": "array", "items": draw(inner)}
    if draw(st.booleans()):
        found["prefixItems"] = draw(st.lists(inner, min_size=1, max_size=2))
    if draw(st.booleans()):
        found["minItems"] = low
    if draw(st.booleans()):
        found["maxItems"] = low + draw(st.integers(0, 20))
    return found


LEAVES = st.one_of(
    strings(),
    numbers(),
    st.sampled_from([{"type": "boolean"}, {"type": "null"}, {"type": ["string", "null"]}, {}, True]),
    st.lists(st.sampled_from(VALUES), min_size=1, max_size=5).map(lambda values: {"enum": values}),
    st.sampled_from(VALUES).map(lambda value: {"const": value}),
    st.sampled_from([{"$ref": "#/$defs/one"}, {"$ref": "#/$defs/two"}]),
)
SCHEMAS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        objects(inner), arrays(inner), st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"anyOf": parts})
    ),
    max_leaves=8,
)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """A whole schema with definitions that may refer to each other."""
    root = draw(SCHEMAS.filter(lambda schema: isinstance(schema, dict)))
    return {**root, "$defs": {"one": draw(SCHEMAS), "two": draw(SCHEMAS)}}
