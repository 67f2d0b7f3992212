"""What a grammar is made of, before it is written down."""

from __future__ import annotations

import msgspec

Ranges = tuple[tuple[int, int], ...]
"""Code points: first and last of each range, in order, apart from each other."""
LAST = 0x10FFFF


class Text(msgspec.Struct, frozen=True):
    """These very characters."""

    text: str


class Chars(msgspec.Struct, frozen=True):
    """One character of these."""

    ranges: Ranges


class Sequence(msgspec.Struct, frozen=True):
    """One after the other."""

    parts: tuple[Node, ...]


class Choice(msgspec.Struct, frozen=True):
    """One of them."""

    options: tuple[Node, ...]


class Repeat(msgspec.Struct, frozen=True):
    """`part` from `low` to `high` times (None: any number)."""

    part: Node
    low: int
    high: int | None


class Rule(msgspec.Struct, frozen=True):
    """What the rule of this name says."""

    name: str


Node = Text | Chars | Sequence | Choice | Repeat | Rule
EMPTY = Sequence(())
NEVER = Choice(())
"""Nothing at all fits."""


def sequence(*parts: Node) -> Node:
    """`parts` in a row, flattened; adjoining texts become one."""
    found: list[Node] = []
    for part in parts:
        for one in part.parts if isinstance(part, Sequence) else (part,):
            last = found[-1] if found else None
            if isinstance(one, Text) and isinstance(last, Text):
                found[-1] = Text(last.text + one.text)
            elif one != Text(""):
                found.append(one)
    return found[0] if len(found) == 1 else Sequence(tuple(found))


def choice(*options: Node) -> Node:
    """One of `options`, flattened, each once."""
    found: dict[Node, None] = {}
    for option in options:
        for one in option.options if isinstance(option, Choice) else (option,):
            found[one] = None
    return next(iter(found)) if len(found) == 1 else Choice(tuple(found))


def replaced(node: Node, old: Node, new: Node) -> Node:
    """The same with `new` wherever `old` was."""
    match node:
        case _ if node == old:
            return new
        case Sequence(parts):
            return sequence(*(replaced(part, old, new) for part in parts))
        case Choice(options):
            return choice(*(replaced(option, old, new) for option in options))
        case Repeat(part, low, high):
            return Repeat(replaced(part, old, new), low, high)
    return node


def optional(part: Node) -> Node:
    """`part`, or nothing."""
    return Repeat(part, 0, 1)


def chars(listed: str) -> Chars:
    """One of the listed characters; "a-z" is a range."""
    ranges, at = [], 0
    while at < len(listed):
        end = at + 2 if listed[at + 1 : at + 2] == "-" and at + 2 < len(listed) else at
        ranges.append((ord(listed[at]), ord(listed[end])))
        at = end + 1
    return Chars(union(tuple(ranges)))


def union(*sets: Ranges) -> Ranges:
    """The code points of all of them."""
    found: list[tuple[int, int]] = []
    for low, high in sorted(one for ranges in sets for one in ranges):
        if found and low <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(high, found[-1][1]))
        else:
            found.append((low, high))
    return tuple(found)


def complement(ranges: Ranges) -> Ranges:
    """All other code points."""
    found, next_ = [], 0
    for low, high in ranges:
        if low > next_:
            found.append((next_, low - 1))
        next_ = high + 1
    return (*found, (next_, LAST)) if next_ <= LAST else tuple(found)


def intersection(first: Ranges, second: Ranges) -> Ranges:
    """The code points that are in both."""
    return complement(union(complement(first), complement(second)))
