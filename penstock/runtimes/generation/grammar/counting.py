"""So many of something, in a way that a tokenizer's whole vocabulary is still checked in milliseconds.

Engines are slow at long counted repetitions: they copy what is repeated, or look at every count that is still
possible. So counts are made of blocks of 16, of 16 blocks, and so on: the fewer places, the better.
"""

from __future__ import annotations

from penstock.runtimes.generation.grammar.nodes import EMPTY, Node, Repeat, choice, sequence
from penstock.runtimes.generation.grammar.rules import Rules

_BLOCK = 16
MOST = 4096
"""The largest count that can be asked for."""


def counted(rules: Rules, part: Node, low: int, high: int | None) -> Node:
    """`part` from `low` to `high` times (None: any number). Counts are at most `MOST`."""
    if high is None:
        return sequence(_exactly(rules, part, low), Repeat(part, 0, None))
    if high < _BLOCK:
        return Repeat(part, low, high)
    return sequence(_exactly(rules, part, low), _at_most(rules, part, high - low))


def _exactly(rules: Rules, part: Node, count: int) -> Node:
    if count < _BLOCK:
        return Repeat(part, count, count) if count else EMPTY
    return sequence(_exactly(rules, _block(rules, part), count // _BLOCK), _exactly(rules, part, count % _BLOCK))


def _at_most(rules: Rules, part: Node, count: int) -> Node:
    """Each number of `part` in one way only: whole blocks first, and the rest after them."""
    if count < _BLOCK:
        return Repeat(part, 0, count) if count else EMPTY
    block, blocks = _block(rules, part), count // _BLOCK
    fewer = sequence(_at_most(rules, block, blocks - 1), Repeat(part, 0, _BLOCK - 1))
    return choice(fewer, sequence(_exactly(rules, block, blocks), _at_most(rules, part, count % _BLOCK)))


def _block(rules: Rules, part: Node) -> Node:
    return rules.define(("block", part), lambda: Repeat(part, _BLOCK, _BLOCK), "b")
