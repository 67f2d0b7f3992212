"""Alternatives that begin alike are written with that beginning once.

That makes grammars smaller and quicker to follow, and it is needed: the xgrammar inside OpenVINO GenAI 2026.4 joins
states of alternatives from both ends at once, and where the ends meet ("https://" beside "http://") it makes a loop
of what is between them, so that texts come out which the grammar does not allow.
"""

from __future__ import annotations

from penstock.runtimes.generation.grammar.nodes import (
    EMPTY,
    Chars,
    Choice,
    Node,
    Repeat,
    Rule,
    Sequence,
    Text,
    choice,
    sequence,
)


def factored(node: Node) -> Node:
    """The same texts; in no choice two options begin with the same character, class, or rule."""
    match node:
        case Sequence(parts):
            return sequence(*map(factored, parts))
        case Repeat(part, low, high):
            return Repeat(factored(part), low, high)
        case Choice(options):
            return _factored_choice(options)
        case Chars(((low, high),)) if low == high:
            return Text(chr(low))
    return node


def _factored_choice(options: tuple[Node, ...]) -> Node:
    groups: dict[Node, list[Node]] = {}
    for option in options:
        for head, tail in _split(option):
            groups.setdefault(head, []).append(tail)
    found = []
    for head, tails in groups.items():
        rest = tails[0] if len(tails) == 1 else _tails(tails)
        found.append(sequence(head, factored(rest)))
    return choice(*found)


def _tails(tails: list[Node]) -> Node:
    """One of several, where nothing at all may be one of them."""
    return choice(*dict.fromkeys(tails))


def _split(option: Node) -> list[tuple[Node, Node]]:
    """An option as what it begins with and what follows."""
    match option:
        case Text(text) if text:
            return [(Text(text[0]), Text(text[1:]) if text[1:] else EMPTY)]
        case Chars(((low, high),)) if low == high:
            return [(Text(chr(low)), EMPTY)]
        case Choice(options):
            return [pair for one in options for pair in _split(one)]
        case Sequence((first, *rest)):
            return [(head, sequence(tail, *rest)) for head, tail in _split(first)]
        case Repeat(part, low, high) if low and (isinstance(part, (Chars, Rule))):
            return [(part, _fewer(part, low - 1, None if high is None else high - 1))]
    return [(option, EMPTY)]


def _fewer(part: Node, low: int, high: int | None) -> Node:
    if high == 0:
        return EMPTY
    return part if (low, high) == (1, 1) else Repeat(part, low, high)
