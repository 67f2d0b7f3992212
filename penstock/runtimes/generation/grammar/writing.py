"""Grammars in writing: the part of GBNF that llama.cpp and xgrammar read alike."""

from __future__ import annotations

from penstock.runtimes.generation.grammar.nodes import (
    LAST,
    Chars,
    Choice,
    Node,
    Ranges,
    Repeat,
    Rule,
    Sequence,
    Text,
    complement,
    intersection,
)

MOST_REPEATS = 2000
"""llama.cpp reads larger counts as "any number"."""
_LAST_ASCII = 0x7F
_CHARACTERS = complement(((0xD800, 0xDFFF),))
_PLAIN = frozenset(map(chr, range(0x20, 0x7F))) - frozenset('"\\')
_PLAIN_IN_CLASS = _PLAIN - frozenset("[]^-")


def written(nodes: dict[str, Node]) -> str:
    """The rules that `root` needs, one per line, `root` first."""
    writer = _Writer(nodes)
    pending, lines, seen = ["root"], [], {"root"}
    while pending:
        name = pending.pop()
        lines.append(f"{name} ::= {writer.options(writer.nodes[name])}")
        new = [used for used in writer.used if used not in seen]
        writer.used.clear()
        seen.update(new)
        pending += reversed(new)
    return "\n".join(lines) + "\n"


class _Writer:
    """`used`: names of rules that were referred to since it was cleared."""

    def __init__(self, nodes: dict[str, Node]):
        self.nodes = dict(nodes)
        self.used: dict[str, None] = {}
        self._helpers: dict[Node, str] = {}

    def options(self, node: Node) -> str:
        if isinstance(node, Choice):
            return " | ".join(map(self._sequence, node.options))
        return self._sequence(node)

    def _sequence(self, node: Node) -> str:
        if isinstance(node, Sequence):
            return " ".join(map(self._one, node.parts)) or '""'
        return self._one(node)

    def _one(self, node: Node) -> str:
        match node:
            case Text(text):
                return '"' + "".join(_escaped(character, _PLAIN) for character in text) + '"'
            case Chars(ranges):
                return _class(ranges)
            case Rule(name):
                self.used[name] = None
                return name
            case Repeat(part, low, high):
                return self._repeat(part, low, high)
        return f"({self.options(node)})"

    def _repeat(self, part: Node, low: int, high: int | None) -> str:
        if high == 0:
            return '""'
        if (low, high) == (1, 1):
            return self._one(part)
        sign = {(0, 1): "?", (0, None): "*", (1, None): "+"}.get((low, high))
        if sign:
            return self._atom(part) + sign
        return self._counted(part) + _count(low, high)

    def _atom(self, part: Node) -> str:
        """Something that a sign of repetition may follow: no text of several characters, no other repetition."""
        single = isinstance(part, (Chars, Rule)) or (isinstance(part, Text) and len(part.text) == 1)
        return self._one(part) if single else f"({self.options(part)})"

    def _counted(self, part: Node) -> str:
        """A rule or class: what is counted is written once, in a rule of its own."""
        if isinstance(part, (Chars, Rule)):
            return self._one(part)
        name = self._helpers.setdefault(part, f"x{len(self._helpers)}")
        self.nodes[name] = part
        return self._one(Rule(name))


def _count(low: int, high: int | None) -> str:
    if max(low, high or 0) > MOST_REPEATS:
        raise ValueError(f"{low} to {high} repetitions")
    if low == high:
        return f"{{{low}}}"
    return f"{{{low},}}" if high is None else f"{{{low},{high}}}"


def _class(ranges: Ranges) -> str:
    """Negated only where what is left out is ASCII: the xgrammar inside OpenVINO GenAI 2026.4 fails at others."""
    others = complement(ranges)
    if ranges and ranges[-1][1] == LAST and all(high <= _LAST_ASCII for _, high in others):
        return f"[^{_listed(others)}]"
    return f"[{_listed(intersection(ranges, _CHARACTERS))}]"


def _listed(ranges: Ranges) -> str:
    return "".join(
        _escaped(chr(low), _PLAIN_IN_CLASS) + (f"-{_escaped(chr(high), _PLAIN_IN_CLASS)}" if high > low else "")
        for low, high in ranges
    )


def _escaped(character: str, plain: frozenset[str]) -> str:
    if character in plain:
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
