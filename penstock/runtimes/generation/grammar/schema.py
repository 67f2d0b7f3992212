"""A JSON Schema as a grammar: every text of the grammar is JSON that follows the schema.

The other way round it need not hold: of several ways to write the same JSON, and of what nobody means to generate
(properties out of order, those that the schema does not name and does not forbid), the grammar has one. What it cannot
enforce is refused, by name.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from math import isfinite
from typing import Any

import msgspec

from penstock.core.errors import BadInput
from penstock.runtimes.generation.grammar.alternatives import Alternatives, type_of, types
from penstock.runtimes.generation.grammar.counting import counted
from penstock.runtimes.generation.grammar.formats import FORMATS
from penstock.runtimes.generation.grammar.json_text import (
    any_object,
    any_value,
    blank,
    character,
    comma,
    integer,
    listed,
    many,
    number,
    string,
)
from penstock.runtimes.generation.grammar.keywords import BY_TYPE
from penstock.runtimes.generation.grammar.merging import Schema, canonical
from penstock.runtimes.generation.grammar.nodes import (
    EMPTY,
    NEVER,
    Node,
    Rule,
    Text,
    choice,
    optional,
    replaced,
    sequence,
)
from penstock.runtimes.generation.grammar.numbers import Bound, any_fraction, decimals, integers
from penstock.runtimes.generation.grammar.objects import Property, an_object
from penstock.runtimes.generation.grammar.patterns import pattern
from penstock.runtimes.generation.grammar.rules import Rules
from penstock.runtimes.generation.grammar.strings import literal, quoted

_LARGEST = 256 * 1024
"""Bytes of a schema, as JSON."""
_DEEPEST = 64
_MOST_NODES = 20_000
_LONGEST_PREFIX = 100


def check_size(schema: Any) -> None:
    """Raises `BadInput` for what is no schema, or too large or too deep a one."""
    if not isinstance(schema, dict):
        raise BadInput("the schema must be a JSON object")
    pending, nodes = [(schema, 1)], 0
    while pending:
        value, depth = pending.pop()
        nodes += 1
        if depth > _DEEPEST:
            raise BadInput(f"the schema is nested more than {_DEEPEST} levels deep")
        if nodes > _MOST_NODES:
            raise BadInput(f"the schema has more than {_MOST_NODES:,} values")
        if isinstance(value, float) and not isfinite(value):
            raise BadInput("the schema holds what JSON cannot")
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        pending += [(one, depth + 1) for one in inner]
    try:
        size = len(canonical(schema))
    except (TypeError, OverflowError, UnicodeError, msgspec.MsgspecError) as error:
        raise BadInput("the schema holds what JSON cannot") from error
    if size > _LARGEST:
        raise BadInput(f"the schema has {size:,} bytes; the limit is {_LARGEST:,}")


class SchemaRules:
    """Rules for the values of one schema document."""

    def __init__(self, rules: Rules, root: Any):
        self._rules = rules
        self._document = object()
        self._alternatives = Alternatives(root)

    def value(self, schema: Any) -> Rule:
        """The rule of the values that follow `schema`. Raises `BadInput` for what cannot be enforced."""
        return self._rules.define((self._document, canonical(schema)), lambda: self._made(schema))

    def _made(self, schema: Any) -> Node:
        plain = self._alternatives.of(schema)
        return choice(*(self._plain(one) for one in plain))

    def _plain(self, schema: Schema) -> Node:
        allowed = types(schema)
        if "enum" in schema:
            return self._fixed(schema, allowed)
        makers = {
            "object": self._object,
            "array": self._array,
            "string": self._string,
            "number": self._number,
            "integer": self._integer,
            "boolean": _boolean,
            "null": _null,
        }
        if "number" in allowed:
            allowed = [name for name in allowed if name != "integer"]
        if "type" not in schema and len(allowed) == len(makers) - 1:
            return any_value(self._rules)
        return choice(*(makers[name](schema) for name in allowed))

    def _fixed(self, schema: Schema, allowed: list[str]) -> Node:
        """One of the values listed, of the types allowed."""
        for name in (keyword for keywords in BY_TYPE.values() for keyword in keywords):
            if name in schema:
                raise BadInput(
                    f"the schema's enum or const beside {name} cannot be enforced: list only values that fit"
                )
        kinds = {*allowed, *(["integer"] if "number" in allowed else [])}
        fitting = [value for value in schema["enum"] if type_of(value) in kinds]
        return choice(*(Text(literal(value)) for value in fitting))

    def _object(self, schema: Schema) -> Node:
        properties, required = schema.get("properties", {}), schema.get("required", [])
        others = schema.get("additionalProperties")
        if not properties and not required and others in (None, True):
            return any_object(self._rules)
        unnamed = {name: True if others is None else others for name in required if name not in properties}
        named = {**properties, **unnamed}
        if others is None and not named:
            others = True
        found = [Property(name, self.value(value), name in required) for name, value in named.items()]
        forbidden = others is None or others is False
        return an_object(self._rules, found, None if forbidden else self.value(others))

    def _array(self, schema: Schema) -> Node:
        first, items = schema.get("prefixItems", []), schema.get("items", True)
        low, high = schema.get("minItems", 0), schema.get("maxItems")
        if len(first) > _LONGEST_PREFIX:
            raise BadInput(f"the schema's prefixItems has more than {_LONGEST_PREFIX} schemas")
        if high is not None and high < low:
            return NEVER
        if first:
            return self._tuple(first, items if "items" in schema or low > len(first) else False, low, high)
        item = self.value(items)
        if (low, high) == (0, None):
            return listed(self._rules, many(self._rules, item))
        return listed(self._rules, self._filled(item, low, high))

    def _filled(self, item: Node, low: int, high: int | None) -> Node:
        if high == 0:
            return EMPTY
        more = self._rules.define(("more", item), lambda: sequence(comma(self._rules), item))
        rest = counted(self._rules, more, max(low - 1, 0), None if high is None else high - 1)
        filled = sequence(item, rest, blank(self._rules))
        return filled if low else optional(filled)

    def _tuple(self, first: list[Any], items: Any, low: int, high: int | None) -> Node:
        """Items that each have a schema, then others."""
        count = len(first) if high is None else min(len(first), high)
        most = None if high is None else high - count
        rest: Node = EMPTY
        if items is not False and most != 0:
            more = self._rules.define(
                ("more", canonical(items)), lambda: sequence(comma(self._rules), self.value(items))
            )
            rest = counted(self._rules, more, max(low - count, 0), most)
        elif low > count:
            return NEVER
        for at in range(count - 1, -1, -1):
            before = comma(self._rules) if at else EMPTY
            rest = sequence(before, self.value(first[at]), rest)
            rest = optional(rest) if at and at >= low else rest
        inside = sequence(rest, blank(self._rules)) if count else EMPTY
        return listed(self._rules, inside if low or not count else optional(inside))

    def _string(self, schema: Schema) -> Node:
        low, high = schema.get("minLength", 0), schema.get("maxLength")
        special = [name for name in ("pattern", "format") if name in schema]
        if len(special) == 2 or (special and (low or high is not None)):
            raise BadInput(f"the schema's {special[0]} beside another bound of the same string cannot be enforced")
        if "pattern" in schema:
            return quoted(self._rules, pattern(schema["pattern"]))
        if "format" in schema:
            return quoted(self._rules, _format(schema["format"]))
        if high is not None and high < low:
            return NEVER
        if (low, high) == (0, None):
            return string(self._rules)
        return sequence(Text('"'), counted(self._rules, character(self._rules), low, high), Text('"'))

    def _integer(self, schema: Schema) -> Node:
        low, high = _bounds(schema)
        if low is None and high is None:
            return self._rules.define("integer", integer, "integer")
        first = None if low is None else int(low.value.to_integral_value(ROUND_CEILING))
        last = None if high is None else int(high.value.to_integral_value(ROUND_FLOOR))
        first = first if low is None or first is None else first + (low.open and low.value == first)
        last = last if high is None or last is None else last - (high.open and high.value == last)
        return integers(first, last)

    def _number(self, schema: Schema) -> Node:
        low, high = _bounds(schema)
        if low is None and high is None:
            return number(self._rules)
        fraction = self._rules.define("fraction", any_fraction, "fraction")
        return replaced(decimals(low, high), any_fraction(), fraction)


def _boolean(schema: Schema) -> Node:
    return choice(Text("true"), Text("false"))


def _null(schema: Schema) -> Node:
    return Text("null")


def _format(name: str) -> Node:
    if name not in FORMATS:
        raise BadInput(
            f"the schema's format {name[:100]!r} cannot be enforced here; these can be: {', '.join(FORMATS)}"
        )
    return FORMATS[name]()


def _bounds(schema: Schema) -> tuple[Bound | None, Bound | None]:
    """The tighter of the closed and the open bound, on either side."""
    lows = [
        Bound(_decimal(schema[name]), name != "minimum") for name in ("minimum", "exclusiveMinimum") if name in schema
    ]
    highs = [
        Bound(_decimal(schema[name]), name != "maximum") for name in ("maximum", "exclusiveMaximum") if name in schema
    ]
    low = max(lows, key=lambda bound: (bound.value, bound.open), default=None)
    high = min(highs, key=lambda bound: (bound.value, not bound.open), default=None)
    return low, high


def _decimal(value: float) -> Decimal:
    found = Decimal(repr(value))
    if not found.is_finite() or abs(found) > 10**15 or (found and abs(found) < Decimal("1e-12")):
        raise BadInput("the schema's bounds of numbers must be between -1e15 and 1e15, and 0 or at least 1e-12")
    return found
