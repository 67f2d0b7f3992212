"""What a schema's `$ref`, `allOf`, `anyOf` and `oneOf` come to: a list of plain schemas, one of which is followed."""

from __future__ import annotations

from typing import Any

from penstock.core.errors import BadInput
from penstock.runtimes.generation.grammar.keywords import BY_TYPE, COMBINING, TYPES, check_keywords
from penstock.runtimes.generation.grammar.merging import Schema, canonical, merged, pointed, same

_MOST = 1000
_MOST_STEPS = 100_000
_MOST_WORK = 1_000_000
"""Bytes of schemas put together: about half a second, in which nobody else's answer goes on."""
_LONGEST_WAY = 64


class Alternatives:
    """Of one schema document."""

    def __init__(self, root: Any):
        self._root = root
        self._steps = 0
        self._work = 0

    def of(self, schema: Any, via: frozenset[str] = frozenset()) -> list[Schema]:
        """Plain schemas (without combining keywords). `via`: the references that led here.

        Raises `BadInput` for references in a circle, and where there are too many alternatives.
        """
        self._steps += 1
        if self._steps > _MOST_STEPS:
            raise BadInput("the schema is too large: its $ref, allOf, anyOf and oneOf come to too many alternatives")
        if isinstance(schema, bool):
            return [{}] if schema else []
        check_keywords(schema)
        found = [_plain(schema)]
        if "const" in schema:
            found = self._product(found, [{"enum": [schema["const"]]}])
        for group in self._groups(schema, via):
            found = self._product(found, group)
        return found

    def _product(self, first: list[Schema], second: list[Schema]) -> list[Schema]:
        """Every schema of the one list together with every one of the other, where that is possible."""
        if second == [{}]:
            return first
        found: dict[bytes, Schema] = {}
        for one in first:
            for other in second:
                together = merged(one, other)
                if together is not None:
                    found[self._paid(canonical(together))] = together
            if len(found) > _MOST:
                raise BadInput(f"the schema's allOf, anyOf and oneOf come to more than {_MOST} alternatives")
        return list(found.values())

    def _paid(self, text: bytes) -> bytes:
        self._work += len(text) + 50
        if self._work > _MOST_WORK:
            raise BadInput(
                "the schema is too costly: its allOf, anyOf and oneOf come to too much; write it out simpler"
            )
        return text

    def _groups(self, schema: Schema, via: frozenset[str]) -> list[list[Schema]]:
        """Lists of alternatives, of each of which one is to be followed."""
        groups = []
        if "$ref" in schema:
            ref = schema["$ref"]
            if len(via) >= _LONGEST_WAY:
                raise BadInput(f"the schema's $ref lead from one to the next more than {_LONGEST_WAY} times")
            if ref in via:
                raise BadInput(f"the schema's $ref {ref[:100]!r} refers to itself and says nothing")
            groups.append(self.of(pointed(self._root, ref), via | {ref}))
        groups += [self.of(part, via) for part in schema.get("allOf", ())]
        if "anyOf" in schema:
            groups.append([one for part in schema["anyOf"] for one in self.of(part, via)])
        if "oneOf" in schema:
            parts = [self.of(part, via) for part in schema["oneOf"]]
            _check_apart(parts)
            groups.append([one for part in parts for one in part])
        return groups


def _plain(schema: Schema) -> Schema:
    return {name: value for name, value in schema.items() if name not in COMBINING and name != "const"}


def _check_apart(parts: list[list[Schema]]) -> None:
    """Of `oneOf` nothing may follow two: that is known by types, by fixed values, or by a property that has them."""
    for at, part in enumerate(parts):
        for other in parts[at + 1 :]:
            if not all(_apart(one, two) for one in part for two in other):
                raise BadInput(
                    "oneOf is enforced only where its parts cannot both fit: give them different types, or a required "
                    "property with different const values; or use anyOf"
                )


def _apart(first: Schema, second: Schema) -> bool:
    common = _kinds(first) & _kinds(second)
    if not common or _no_value_in_common(first, second):
        return True
    shared = set(first.get("required", ())) & set(second.get("required", ()))
    return common == {"object"} and any(_no_value_in_common(*_of_both(first, second, name)) for name in shared)


def _of_both(first: Schema, second: Schema, name: str) -> tuple[Any, Any]:
    return first.get("properties", {}).get(name), second.get("properties", {}).get(name)


def _no_value_in_common(first: Any, second: Any) -> bool:
    """Whether both are schemas of fixed values, none of which the other has."""
    values = _values(first), _values(second)
    return values[0] is not None and values[1] is not None and not values[0] & values[1]


def _values(schema: Any) -> frozenset[bytes] | None:
    """The values that a schema lists; None where it lists none. The schema of a property was not looked at before."""
    if not isinstance(schema, dict):
        return None
    if "const" in schema:
        return frozenset([same(schema["const"])])
    listed = schema.get("enum")
    return frozenset(map(same, listed)) if isinstance(listed, list) else None


def _kinds(schema: Schema) -> set[str]:
    """The types of the values that follow the schema, integers being numbers."""
    if "type" in schema:
        named = types(schema)
    elif "enum" in schema:
        named = [type_of(value) for value in schema["enum"]]
    else:
        named = list(TYPES)
    return {"number" if name == "integer" else name for name in named}


def type_of(value: Any) -> str:
    """The name of a JSON value's type; of a whole number: integer."""
    if isinstance(value, bool) or value is None:
        return "null" if value is None else "boolean"
    if isinstance(value, (int, float)):
        return "integer" if isinstance(value, int) or value.is_integer() else "number"
    return "string" if isinstance(value, str) else "array" if isinstance(value, list) else "object"


def types(schema: Schema) -> list[str]:
    """The types that a plain schema allows here: those it names, else those that its keywords are about, else all."""
    if "type" in schema:
        listed = schema["type"]
        return listed if isinstance(listed, list) else [listed]
    if "enum" in schema:
        return list(TYPES)
    about = [name for name, keywords in BY_TYPE.items() if any(keyword in schema for keyword in keywords)]
    return about or list(TYPES)
