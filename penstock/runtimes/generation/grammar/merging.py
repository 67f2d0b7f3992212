"""Schemas put together: what follows all of them, as one schema without `allOf`, `$ref` and the like."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from penstock.core.errors import BadInput
from penstock.runtimes.generation.grammar.keywords import DESCRIBING

Schema = Mapping[str, Any]
_MERGED_BY: dict[str, Callable[[Any, Any], Any]] = {
    "minItems": max,
    "minLength": max,
    "minimum": max,
    "exclusiveMinimum": max,
    "maxItems": min,
    "maxLength": min,
    "maximum": min,
    "exclusiveMaximum": min,
}
_encoder = msgspec.json.Encoder(order="sorted")


def canonical(schema: object) -> bytes:
    """The same bytes for equal schemas."""
    return _encoder.encode(schema)


def same(value: Any) -> bytes:
    """The same bytes for values that JSON Schema takes for equal: 1 and 1.0 are."""
    whole = isinstance(value, float) and value.is_integer()
    return canonical(int(value) if whole else value)


def both(first: Any, second: Any) -> Any:
    """A schema for what follows two schemas; they may be `True` or `False`."""
    if first is False or second is False:
        return False
    if first is True or first == {}:
        return second
    if second is True or second == {} or canonical(first) == canonical(second):
        return first
    return {"allOf": [first, second]}


def merged(first: Schema, second: Schema) -> Schema | None:
    """Two schemas that hold plain keywords only, as one; None when nothing can follow both.

    Raises `BadInput` when that cannot be said with one schema.
    """
    found = {name: value for name, value in first.items() if name not in DESCRIBING}
    objects = _objects(first, second)
    for name, value in second.items():
        if name in DESCRIBING or name in objects:
            continue
        found[name] = _one(name, found[name], value) if name in found else value
    found |= objects
    empty = any(found.get(name, True) == [] for name in ("type", "enum"))
    return None if empty else found


def _one(name: str, first: Any, second: Any) -> Any:
    """A keyword that both have."""
    if name in _MERGED_BY:
        return _MERGED_BY[name](first, second)
    if name == "type":
        return _types(_list(first), _list(second))
    if name == "enum":
        others = set(map(same, second))
        return [value for value in first if same(value) in others]
    if name == "items":
        return both(first, second)
    if canonical(first) == canonical(second):
        return first
    raise BadInput(f"allOf puts together two schemas whose {name} differ: write one that says both")


def _types(first: list[str], second: list[str]) -> list[str]:
    found = [name for name in first if name in second or (name == "integer" and "number" in second)]
    return found + [name for name in second if name == "integer" and "number" in first and name not in found]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _objects(first: Schema, second: Schema) -> dict[str, Any]:
    """The keywords about objects of two schemas, together: a property follows what each of the two says about it."""
    found: dict[str, Any] = {}
    names = dict.fromkeys([*first.get("properties", {}), *second.get("properties", {})])
    if names:
        found["properties"] = {name: both(_property(first, name), _property(second, name)) for name in names}
    if "required" in first or "required" in second:
        found["required"] = list(dict.fromkeys([*first.get("required", []), *second.get("required", [])]))
    extra = [schema["additionalProperties"] for schema in (first, second) if "additionalProperties" in schema]
    if extra:
        found["additionalProperties"] = both(extra[0], extra[-1])
    return found


def _property(schema: Schema, name: str) -> Any:
    return schema.get("properties", {}).get(name, schema.get("additionalProperties", True))


def pointed(root: Schema, ref: str) -> Any:
    """The schema that a `$ref` names. Raises `BadInput` for other documents and for what is not there."""
    if ref != "#" and not ref.startswith("#/"):
        raise BadInput(f"the schema's $ref {ref[:100]!r} is refused: only references inside of the schema are followed")
    at: Any = root
    for step in _steps(ref):
        at = at.get(step) if isinstance(at, dict) else _at_index(at, step)
        if not isinstance(at, (dict, list, bool)):
            raise BadInput(f"the schema's $ref {ref[:100]!r} leads nowhere")
    if isinstance(at, list):
        raise BadInput(f"the schema's $ref {ref[:100]!r} leads to a list")
    return at


def _steps(ref: str) -> Iterator[str]:
    from urllib.parse import unquote

    for step in ref.split("/")[1:]:
        yield unquote(step).replace("~1", "/").replace("~0", "~")


def _at_index(values: Any, step: str) -> Any:
    inside = isinstance(values, list) and step.isascii() and step.isdigit() and len(step) < 6
    return values[int(step)] if inside and int(step) < len(values) else None
