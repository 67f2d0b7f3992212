"""Grammars (GBNF) put together: thoughts before an answer, one of two answers, calls that may be made or not.

A grammar is a text of rules, of which `root` is the whole answer.
"""

from __future__ import annotations

import re

from penstock.runtimes.generation.marks.think import CLOSE, OPEN

_WORD = re.compile(r'"(?:[^"\\]|\\.)*"|\[(?:[^\]\\]|\\.)*\]|[A-Za-z][\w-]*')
_WHITE = r"\t\r\n"
_SPACE = f"[ {_WHITE}]*"


def after_thoughts(grammar: str, *, opened: bool) -> str:
    """The same answer, after thoughts that are free; `opened`: the prompt ended inside of them."""
    thoughts = f"thoughts-text {_quoted(CLOSE)} {_SPACE}"
    if not opened:
        thoughts = f"({_quoted(OPEN)} {thoughts})?"
    return f"root ::= {thoughts} answer-root\nthoughts-text ::= {_without(CLOSE)}\n{_renamed(grammar, 'answer-')}"


def either(one: str, other: str) -> str:
    """An answer by one of two grammars."""
    return f"root ::= one-root | other-root\n{_renamed(one, 'one-')}\n{_renamed(other, 'other-')}"


def perhaps(calls: str, opening: str, *, bare: bool) -> str:
    """Free text, and then calls or none. `opening`: the mark that begins calls, which the text does not hold. `bare`:
    they may begin without it, at "{", with which the text does not begin; then it is text or calls."""
    root = "free-text calls-root?"
    if bare:
        root = f"calls-root | {_SPACE} ({_unit(opening, '{ ' + _WHITE)} free-text)?"
    return f"root ::= {root}\nfree-text ::= {_without(opening)}\n{_renamed(calls, 'calls-')}"


def _renamed(grammar: str, prefix: str) -> str:
    """The grammar with a prefix before the names of its rules."""
    return _WORD.sub(lambda found: found[0] if found[0][0] in '"[' else prefix + found[0], grammar)


def _without(mark: str) -> str:
    """Any text in which a mark does not occur. (Of texts that hold all but a mark's end, those are left out in which
    its first character follows at once, or nothing.)"""
    return f"{_unit(mark)}* {_quoted(mark[0])}*"


def _unit(mark: str, besides: str = "") -> str:
    """A character that does not begin a mark (nor is one of `besides`), or a beginning of it that does not go on."""
    first = _class(mark[0])
    others = [f"{_quoted(mark[1:at])} [^{_class(mark[at])}{first}]" for at in range(2, len(mark))]
    after = " | ".join([f"[^{_class(mark[1])}{first}]", *others])
    return f"([^{first}{besides}] | {_quoted(mark[0])}+ ({after}))"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _class(character: str) -> str:
    return "\\" + character if character in "\\]^-[" else character
