"""Objects: their properties come in the order of the schema, the optional ones or not, then others where they may."""

from __future__ import annotations

from typing import NamedTuple

from penstock.core.errors import BadInput
from penstock.runtimes.generation.grammar.json_text import PLAIN, blank, comma, member
from penstock.runtimes.generation.grammar.nodes import (
    EMPTY,
    Chars,
    Node,
    Repeat,
    Rule,
    Text,
    choice,
    complement,
    intersection,
    optional,
    sequence,
)
from penstock.runtimes.generation.grammar.rules import Rules
from penstock.runtimes.generation.grammar.strings import literal

_LONGEST_NAME = 128
_MOST_OPTIONAL = 128


class Property(NamedTuple):
    """A property by name, what its value is, and whether it must be there."""

    name: str
    value: Node
    required: bool


def an_object(rules: Rules, properties: list[Property], others: Node | None) -> Node:
    """An object of `properties`, in this order. `others`: the value of any other property, None where none may be.

    Raises `BadInput` where engines would take seconds to look at what may follow what.
    """
    if sum(not one.required for one in properties) > _MOST_OPTIONAL:
        raise BadInput(f"an object with more than {_MOST_OPTIONAL} properties that may be left out is not accepted")
    members = [member(rules, Text(literal(one.name)), one.value) for one in properties]
    more = None if others is None else _other(rules, [one.name for one in properties], others)
    rest = _rests(rules, properties, members, more)
    starts: list[Node] = []
    for at, one in enumerate(properties):
        starts.append(sequence(members[at], rest[at + 1]))
        if one.required:
            break
    else:
        starts += [] if more is None else [sequence(more, rest[-1])]
        starts.append(EMPTY)
    inside = _inside(rules, starts)
    return sequence(Text("{"), blank(rules), inside, Text("}"))


def _inside(rules: Rules, starts: list[Node]) -> Node:
    full = [start for start in starts if start != EMPTY]
    if not full:
        return EMPTY
    filled = sequence(choice(*full), blank(rules))
    return optional(filled) if EMPTY in starts else filled


def _rests(rules: Rules, properties: list[Property], members: list[Node], more: Node | None) -> list[Node]:
    """What may follow, once something was written, before each property and at the end."""
    end = EMPTY if more is None else Repeat(sequence(comma(rules), more), 0, None)
    found: list[Node] = [end]
    for at in range(len(properties) - 1, -1, -1):
        one = sequence(comma(rules), members[at])
        node = sequence(one if properties[at].required else optional(one), found[0])
        found.insert(0, _named(rules, node))
    return found


def _named(rules: Rules, node: Node) -> Rule:
    return rules.define(("rest", node), lambda: node)


def _other(rules: Rules, names: list[str], value: Node) -> Rule:
    """A property of any name but these. The name has no escapes."""
    listed = tuple(sorted({name for name in names if all(map(_is_plain, name))}))
    if any(len(name) > _LONGEST_NAME for name in listed):
        raise BadInput(
            f"additionalProperties beside a property of more than {_LONGEST_NAME} characters is not accepted"
        )
    name = sequence(Text('"'), _except(rules, listed, 0))
    return rules.define(("other", listed, value), lambda: member(rules, name, value))


def _is_plain(character: str) -> bool:
    return any(low <= ord(character) <= high for low, high in PLAIN)


def _except(rules: Rules, names: tuple[str, ...], depth: int) -> Node:
    """The rest of a name and the closing quote. `names` are those that agree with what was written so far."""
    if not names:
        return rules.define("rest of a name", lambda: sequence(Repeat(Chars(PLAIN), 0, None), Text('"')))
    following = sorted({name[depth] for name in names if len(name) > depth})
    others = intersection(PLAIN, complement(tuple((ord(one), ord(one)) for one in following)))
    options: list[Node] = [sequence(Chars(others), _except(rules, (), depth + 1))]
    for one in following:
        inner = tuple(name for name in names if name[depth : depth + 1] == one)
        options.append(sequence(Text(one), _deeper(rules, inner, depth + 1)))
    if not any(len(name) == depth for name in names):
        options.append(Text('"'))
    return choice(*options)


def _deeper(rules: Rules, names: tuple[str, ...], depth: int) -> Rule:
    return rules.define(("name", names, depth), lambda: _except(rules, names, depth))
