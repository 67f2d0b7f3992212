"""Alternatives that begin alike are written with that beginning once.

That makes grammars smaller and quicker to follow, and it is needed: the xgrammar inside OpenVINO GenAI 2026.4 joins
states of alternatives from both ends at once, and where the ends meet ("https://" beside "http://") it makes a loop
of what is between them, so that texts come out which the grammar does not allow.
"""

from __future__ import annotations

from penstock.core.errors import BadInput
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

MOST_COPIED = 10_000
"""Parts of a grammar that are written once more because alternatives begin alike. They double with each choice that
these share, so that it is known soon when there would be too many."""


class Factoring:
    """Of the rules of one grammar."""

    def __init__(self) -> None:
        self._copied = 0

    def of(self, node: Node) -> Node:
        """The same texts; in no choice two options begin with the same character, class, or rule.

        Raises `BadInput` where that would take too many copies of what follows.
        """
        match node:
            case Sequence(parts):
                return sequence(*map(self.of, parts))
            case Repeat(part, low, high):
                return Repeat(self.of(part), low, high)
            case Choice(options):
                return self._choice(options)
            case Chars(((low, high),)) if low == high:
                return Text(chr(low))
        return node

    def _choice(self, options: tuple[Node, ...]) -> Node:
        groups: dict[Node, list[Node]] = {}
        for option in options:
            for head, tail in self._split(option):
                groups.setdefault(head, []).append(tail)
        found = []
        for first, ends in groups.items():
            head, tails = _longest(first, ends)
            rest = tails[0] if len(tails) == 1 else _tails(tails)
            found.append(sequence(head, self.of(rest)))
        return choice(*found)

    def _split(self, option: Node) -> list[tuple[Node, Node]]:
        """An option as what it begins with and what follows."""
        match option:
            case Text(text) if text:
                return [(Text(text[0]), Text(text[1:]) if text[1:] else EMPTY)]
            case Chars(((low, high),)) if low == high:
                return [(Text(chr(low)), EMPTY)]
            case Choice(options):
                return [pair for one in options for pair in self._split(one)]
            case Sequence((first, *rest)):
                pairs = self._split(first)
                self._count((len(pairs) - 1) * sum(map(_size, rest)))
                return [(head, sequence(tail, *rest)) for head, tail in pairs]
            case Repeat(part, low, high) if low and (isinstance(part, (Chars, Rule))):
                return [(part, _fewer(part, low - 1, None if high is None else high - 1))]
        return [(option, EMPTY)]

    def _count(self, copied: int) -> None:
        self._copied += copied
        if self._copied > MOST_COPIED:
            raise BadInput(
                "the schema has a pattern with too many alternatives that begin alike: write what they share once, "
                "before or after the alternatives"
            )


def _size(node: Node) -> int:
    """Of how many parts it is."""
    match node:
        case Sequence(parts) | Choice(parts):
            return 1 + sum(map(_size, parts))
        case Repeat(part, _, _):
            return 1 + _size(part)
    return 1


def _longest(head: Node, tails: list[Node]) -> tuple[Node, list[Node]]:
    """A beginning with all the characters that follow it in every case, and what follows then."""
    common = _shared([_leading(tail) for tail in tails]) if isinstance(head, Text) else ""
    if not common:
        return head, tails
    return sequence(head, Text(common)), [_after(tail, len(common)) for tail in tails]


def _shared(texts: list[str]) -> str:
    """What they all begin with."""
    first, last = min(texts), max(texts)
    length = next((at for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    return first[:length]


def _leading(tail: Node) -> str:
    """The characters that it begins with in any case."""
    match tail:
        case Text(text) | Sequence((Text(text), *_)):
            return text
    return ""


def _after(tail: Node, count: int) -> Node:
    match tail:
        case Sequence((Text(text), *rest)):
            return sequence(Text(text[count:]), *rest)
        case Text(text) if text[count:]:
            return Text(text[count:])
    return EMPTY


def _tails(tails: list[Node]) -> Node:
    """One of several, where nothing at all may be one of them."""
    return choice(*dict.fromkeys(tails))


def _fewer(part: Node, low: int, high: int | None) -> Node:
    if high == 0:
        return EMPTY
    return part if (low, high) == (1, 1) else Repeat(part, low, high)
