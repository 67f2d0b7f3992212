"""Strings: of bounded length, of a format, of a pattern; and JSON text of given values."""

from __future__ import annotations

import json
from typing import Any

from penstock.runtimes.generation.grammar.counting import counted
from penstock.runtimes.generation.grammar.json_text import PLAIN
from penstock.runtimes.generation.grammar.nodes import (
    Chars,
    Choice,
    Node,
    Ranges,
    Repeat,
    Sequence,
    Text,
    choice,
    intersection,
    sequence,
)
from penstock.runtimes.generation.grammar.rules import Rules

_SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}


def literal(value: Any) -> str:
    """A value as JSON text, in the one way that an answer may write it."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def quoted(rules: Rules, node: Node) -> Node:
    """A string whose text follows `node`, which is about the text itself: it is written as JSON does."""
    return sequence(Text('"'), _escaped(rules, node), Text('"'))


def _escaped(rules: Rules, node: Node) -> Node:
    match node:
        case Text(text):
            return Text(literal(text)[1:-1])
        case Chars(ranges):
            return _escaped_class(ranges)
        case Sequence(parts):
            return sequence(*(_escaped(rules, part) for part in parts))
        case Choice(options):
            return choice(*(_escaped(rules, option) for option in options))
        case Repeat(part, low, high):
            return _repeated(rules, _escaped(rules, part), low, high)
    raise TypeError(node)


def _repeated(rules: Rules, part: Node, low: int, high: int | None) -> Node:
    if max(low, high or 0) <= 1:
        return Repeat(part, low, high)
    return counted(rules, rules.define(("part", part), lambda: part), low, high)


def _escaped_class(ranges: Ranges) -> Node:
    """One character of a class as JSON writes it. Control characters without a short escape are left out."""
    options: list[Node] = []
    plain = intersection(ranges, PLAIN)
    if plain:
        options.append(Chars(plain))
    codes = [ord(character) for character in _SHORT]
    marked = [chr(code) for code in codes if any(low <= code <= high for low, high in ranges)]
    options += [Text(_SHORT[character]) for character in marked]
    return choice(*options)
