"""Rules of a grammar as they are made: named, shared where they are equal, pruned of what can never end, written."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from penstock.core.errors import BadInput
from penstock.runtimes.generation.grammar.factoring import Factoring
from penstock.runtimes.generation.grammar.nodes import NEVER, Chars, Choice, Node, Repeat, Rule, Sequence, Text, choice
from penstock.runtimes.generation.grammar.writing import written

MOST_RULES = 20_000
HEAVIEST = 14_000
"""Parts of a grammar, repetitions unrolled: with so many, the slowest engine's grammar library (OpenVINO GenAI 2026.4)
holds a step up for about a second."""
_CHARACTERS = 8
"""Characters of a text that weigh as much as one part."""


class Rules:
    """The rules of one grammar."""

    def __init__(self) -> None:
        self._nodes: dict[str, Node] = {}
        self._names: dict[Hashable, str] = {}
        self._pending: list[tuple[str, Callable[[], Node]]] = []

    def define(self, key: Hashable, make: Callable[[], Node], prefix: str = "r") -> Rule:
        """The rule that `key` stands for. `make` says what it is, later and once: rules may refer to themselves, and be
        nested as deeply as they like. Raises `BadInput` when there are too many."""
        if key not in self._names:
            name = f"{prefix}{len(self._names)}"
            if len(self._names) >= MOST_RULES:
                raise BadInput(f"the schema is too large: it takes more than {MOST_RULES:,} rules")
            self._names[key] = name
            self._pending.append((name, make))
        return Rule(self._names[key])

    def text(self, root: Node) -> str:
        """The whole grammar, its root rule first.

        Raises `BadInput` when nothing can follow it, or it is too large, and what the makers of rules raise.
        """
        while self._pending:
            name, make = self._pending.pop()
            self._nodes[name] = make()
        nodes = {**self._nodes, "root": root}
        ending = _ending(nodes)
        if "root" not in ending:
            raise BadInput("nothing can satisfy the schema: its parts contradict each other, or it never ends")
        factoring = Factoring()
        pruned = {name: factoring.of(_pruned(nodes[name], ending)) for name in ending}
        weight = sum(map(_weight, pruned.values()))
        if weight > HEAVIEST:
            raise BadInput(
                f"the schema is too large: its grammar would have {weight:,} parts, and {HEAVIEST:,} are the most; "
                "shorten its enums and patterns, lower maxLength and maxItems, or bound fewer numbers"
            )
        return written(pruned)


def _weight(node: Node) -> int:
    match node:
        case Sequence(parts):
            return sum(map(_weight, parts))
        case Choice(options):
            return 1 + sum(map(_weight, options))
        case Repeat(part, low, high):
            return _weight(part) * max(1, low if high is None else high)
        case Text(text):
            return 1 + len(text) // _CHARACTERS
    return 1


def _ending(nodes: dict[str, Node]) -> set[str]:
    """Names of the rules that some finite text follows."""
    users: dict[str, list[str]] = {}
    for name, node in nodes.items():
        for used in _uses(node):
            users.setdefault(used, []).append(name)
    ending: set[str] = set()
    pending = list(nodes)
    while pending:
        name = pending.pop()
        if name not in ending and _ends(nodes[name], ending):
            ending.add(name)
            pending += users.get(name, ())
    return ending


def _uses(node: Node) -> set[str]:
    match node:
        case Rule(name):
            return {name}
        case Repeat(part, _, _):
            return _uses(part)
        case Sequence(parts) | Choice(parts):
            return set().union(*map(_uses, parts))
    return set()


def _ends(node: Node, ending: set[str]) -> bool:
    match node:
        case Rule(name):
            return name in ending
        case Repeat(part, low, high):
            return (high != 0 and (low == 0 or _ends(part, ending))) or low == 0
        case Sequence(parts):
            return all(_ends(part, ending) for part in parts)
        case Choice(options):
            return any(_ends(option, ending) for option in options)
        case Chars(ranges):
            return bool(ranges)
    return True


def _pruned(node: Node, ending: set[str]) -> Node:
    """The same without what can never end."""
    match node:
        case Sequence(parts):
            return Sequence(tuple(_pruned(part, ending) for part in parts))
        case Choice(options):
            return choice(*(_pruned(option, ending) for option in options if _ends(option, ending)))
        case Repeat(part, low, high):
            return Repeat(_pruned(part, ending), low, high) if _ends(part, ending) else Sequence(())
    return node if _ends(node, ending) else NEVER
