"""Keywords of JSON Schema: which are enforced, which only describe, and that their values are what they must be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock.core.errors import BadInput
from penstock.runtimes.generation.grammar.counting import MOST

TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")
DESCRIBING = frozenset(
    ("title", "description", "default", "examples", "example", "$schema", "$id", "$comment", "$defs", "definitions")
) | {"deprecated", "readOnly", "writeOnly", "discriminator"}
"""Keywords that allow and forbid nothing. `discriminator` says where `oneOf` says the same."""
BY_TYPE = {
    "object": ("properties", "required", "additionalProperties"),
    "array": ("items", "prefixItems", "minItems", "maxItems"),
    "string": ("minLength", "maxLength", "pattern", "format"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
}
COMBINING = ("$ref", "allOf", "anyOf", "oneOf")
_ENFORCED = frozenset(["type", "enum", "const", *COMBINING, *(name for names in BY_TYPE.values() for name in names)])
_HINTS = {
    "nullable": 'write "type": ["string", "null"] or the like instead',
    "patternProperties": "use properties or additionalProperties",
    "additionalItems": "use prefixItems and items",
    "multipleOf": "use minimum and maximum, or enum",
}
_VACUOUS = {"uniqueItems": False, "minProperties": 0, "minContains": 0, "unevaluatedProperties": True, "multipleOf": 1}
"""Values of other keywords that forbid nothing (a `multipleOf` of 1 only for integers)."""


def check_keywords(schema: Mapping[str, Any]) -> None:
    """Raises `BadInput`, naming the keyword, where one would not be enforced or has a value of the wrong kind."""
    for name, value in schema.items():
        if name in _ENFORCED:
            _check_value(name, value)
        elif name not in DESCRIBING and not name.startswith("x-") and not _vacuous(name, value, schema):
            hint = _HINTS.get(name, "leave it out, or say it with keywords that can be")
            raise BadInput(f"the schema's keyword {name[:100]!r} cannot be enforced here: {hint}")


def _vacuous(name: str, value: object, schema: Mapping[str, Any]) -> bool:
    if name == "multipleOf" and schema.get("type") != "integer":
        return False
    return name in _VACUOUS and value == _VACUOUS[name] and isinstance(value, bool) == isinstance(_VACUOUS[name], bool)


def _check_value(name: str, value: Any) -> None:
    kind, fits = _KINDS[name]
    if not fits(value):
        raise BadInput(f"the schema's {name} must be {kind}")


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_types(value: Any) -> bool:
    listed = [value] if isinstance(value, str) else value
    return isinstance(listed, list) and bool(listed) and all(one in TYPES for one in listed)


def _is_schema(value: Any) -> bool:
    return isinstance(value, (dict, bool))


def _is_schemas(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_schema, value))


def _is_properties(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_schema, value.values()))


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


_COUNT = (f"an integer from 0 to {MOST:,}", _is_count)
_NUMBER = ("a number", _is_number)
_TEXT = ("a text", _is_text)
_SCHEMA = ("a schema", _is_schema)
_SCHEMAS = ("a list of schemas", _is_schemas)
_KINDS: dict[str, tuple[str, Any]] = {
    "type": (f"one or several of {', '.join(TYPES)}", _is_types),
    "enum": ("a list of values", _is_list),
    "const": ("a value", lambda value: True),
    "properties": ("an object of schemas", _is_properties),
    "required": ("a list of names", _is_names),
    "additionalProperties": _SCHEMA,
    "items": _SCHEMA,
    "prefixItems": _SCHEMAS,
    **dict.fromkeys(("minItems", "maxItems", "minLength", "maxLength"), _COUNT),
    **dict.fromkeys(BY_TYPE["number"], _NUMBER),
    **dict.fromkeys(("pattern", "format", "$ref"), _TEXT),
    **dict.fromkeys(("allOf", "anyOf", "oneOf"), _SCHEMAS),
}
