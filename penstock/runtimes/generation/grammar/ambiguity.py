"""Whether it is clear where one repetition ends and the next begins.

Where it is not ("(a+){1,30}"), engines follow every way to count at once, at each character.
"""

from __future__ import annotations

from penstock.runtimes.generation.grammar.nodes import (
    LAST,
    Chars,
    Choice,
    Node,
    Ranges,
    Repeat,
    Sequence,
    Text,
    intersection,
    union,
)

_ANY: Ranges = ((0, LAST),)


def runs_on(part: Node) -> bool:
    """Whether, after one `part`, a character can both go on with it and begin the next one."""
    return _may_be_empty(part) or bool(intersection(_goes_on(part), _begins(part)))


def _may_be_empty(node: Node) -> bool:
    match node:
        case Text(text):
            return not text
        case Sequence(parts):
            return all(map(_may_be_empty, parts))
        case Choice(options):
            return any(map(_may_be_empty, options))
        case Repeat(part, low, _):
            return low == 0 or _may_be_empty(part)
    return False


def _begins(node: Node) -> Ranges:
    """Characters that it can begin with."""
    match node:
        case Text(text):
            return ((ord(text[0]), ord(text[0])),) if text else ()
        case Chars(ranges):
            return ranges
        case Sequence(parts):
            return _first_of(parts)
        case Choice(options):
            return union(*map(_begins, options))
        case Repeat(part, _, _):
            return _begins(part)
    return _ANY


def _first_of(parts: tuple[Node, ...]) -> Ranges:
    found: Ranges = ()
    for part in parts:
        found = union(found, _begins(part))
        if not _may_be_empty(part):
            break
    return found


def _goes_on(node: Node) -> Ranges:
    """Characters that can follow inside of it where it might as well have ended."""
    match node:
        case Sequence(parts):
            return _goes_on_at_the_end(parts)
        case Choice(options):
            alike = any(intersection(_begins(a), _begins(b)) for at, a in enumerate(options) for b in options[at + 1 :])
            return _ANY if alike else union(*map(_goes_on, options))
        case Repeat(part, low, high) if low == high:
            return _goes_on(part)
        case Repeat(part, _, _):
            return union(_goes_on(part), _begins(part))
    return ()


def _goes_on_at_the_end(parts: tuple[Node, ...]) -> Ranges:
    if any(intersection(_goes_on(part), _first_of(parts[at + 1 :])) for at, part in enumerate(parts)):
        return _ANY
    found: Ranges = ()
    for part in reversed(parts):
        found = union(found, _goes_on(part))
        if not _may_be_empty(part):
            break
        found = union(found, _begins(part))
    return found
