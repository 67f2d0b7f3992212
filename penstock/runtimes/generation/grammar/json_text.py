"""JSON itself as rules: any value, and its parts.

Blanks are bounded, so that a model cannot go on with blanks for ever: one space, or a new line with its indentation.
Numbers have as many digits as fit 64 bits. Strings have their characters as they are, with JSON's short escapes: a
model has no need of others, and engines check these ten times faster.
"""

from __future__ import annotations

from penstock.runtimes.generation.grammar.nodes import (
    Chars,
    Node,
    Repeat,
    Text,
    chars,
    choice,
    complement,
    optional,
    sequence,
)
from penstock.runtimes.generation.grammar.rules import Rules

_INDENTATION = 24
DIGIT = chars("0-9")
PLAIN = complement(((0x00, 0x1F), (0x22, 0x22), (0x5C, 0x5C)))
"""Characters that stand in a JSON string as they are."""
INTEGER_DIGITS = 18
FRACTION_DIGITS = 16


def blank(rules: Rules) -> Node:
    """Where blanks may be: none, a space, or a new line and its indentation."""
    indented = sequence(Text("\n"), Repeat(Text(" "), 0, _INDENTATION))
    return rules.define("blank", lambda: optional(choice(Text(" "), indented)), "ws")


def character(rules: Rules) -> Node:
    """One character of a string."""
    escape = sequence(Text("\\"), chars('"\\/bfnrt'))
    return rules.define("character", lambda: choice(Chars(PLAIN), escape), "char")


def string(rules: Rules) -> Node:
    """Any string."""
    return rules.define("string", lambda: sequence(Text('"'), Repeat(character(rules), 0, None), Text('"')), "string")


def integer() -> Node:
    """Any integer."""
    return sequence(optional(Text("-")), natural())


def natural() -> Node:
    """Zero or more."""
    return choice(Text("0"), sequence(chars("1-9"), Repeat(DIGIT, 0, INTEGER_DIGITS - 1)))


def number(rules: Rules) -> Node:
    """Any number; its exponent has two digits at most, so it is never infinite."""
    fraction = sequence(Text("."), Repeat(DIGIT, 1, FRACTION_DIGITS))
    exponent = sequence(chars("eE"), optional(chars("+-")), Repeat(DIGIT, 1, 2))
    return rules.define("number", lambda: sequence(integer(), optional(fraction), optional(exponent)), "number")


def listed(rules: Rules, items: Node) -> Node:
    """An array around `items`, which may be nothing."""
    return sequence(Text("["), blank(rules), items, Text("]"))


def member(rules: Rules, key: Node, value: Node) -> Node:
    """A key and its value."""
    return sequence(key, Text(":"), blank(rules), value)


def comma(rules: Rules) -> Node:
    """What parts two items."""
    return sequence(Text(","), blank(rules))


def many(rules: Rules, item: Node) -> Node:
    """Any number of items, with the blank after the last."""
    more = Repeat(sequence(comma(rules), item), 0, None)
    return optional(sequence(item, more, blank(rules)))


def any_value(rules: Rules) -> Node:
    """Any JSON value."""

    def make() -> Node:
        return choice(
            any_object(rules),
            listed(rules, many(rules, any_value(rules))),
            string(rules),
            number(rules),
            Text("true"),
            Text("false"),
            Text("null"),
        )

    return rules.define("any", make, "value")


def any_object(rules: Rules) -> Node:
    """Any JSON object."""

    def make() -> Node:
        items = many(rules, member(rules, string(rules), any_value(rules)))
        return sequence(Text("{"), blank(rules), items, Text("}"))

    return rules.define("object", make, "object")
