"""A question taken apart: what is asked, and the answers to choose from."""

from __future__ import annotations

import re
from typing import NamedTuple

HEAD, TAIL = 1000, 2000
"""Characters that are looked at where a text is longer than both together: its beginning, and its end with the task."""

_OPTION = re.compile(r"^[ \t]*\(?([A-J]|[a-j])[.):][ \t]*(\S[^\n]*)$", re.MULTILINE)
_WORD = re.compile(r"[A-Za-z']+")


class Question(NamedTuple):
    """`stem`: the question itself; `words`: its words in lower case; `options`: the answers to choose from; `length`:
    characters of the whole text."""

    stem: str
    words: tuple[str, ...]
    options: tuple[str, ...]
    length: int


def taken_apart(text: str) -> Question:
    """The parts of a text. Options are lines that begin with A., B., C. ... in order; without two there are none."""
    whole = text if len(text) <= HEAD + TAIL else text[:HEAD] + "\n" + text[-TAIL:]
    whole = whole.strip().removesuffix("Answer:").rstrip()
    found = _in_order(list(_OPTION.finditer(whole)))
    stem = whole[: found[0].start()].rstrip() if found else whole
    options = tuple(match.group(2).strip() for match in found)
    return Question(stem, words(stem), options, len(text))


def words(text: str) -> tuple[str, ...]:
    """The words of a text, in lower case."""
    return tuple(_WORD.findall(text.lower()))


def _in_order(found: list[re.Match[str]]) -> list[re.Match[str]]:
    """The last run of matches that counts up from A; empty where it has fewer than two."""
    starts = [place for place, match in enumerate(found) if match.group(1) in "Aa"]
    if not starts:
        return []
    run = found[starts[-1] :]
    letters = [match.group(1).upper() for match in run]
    right = sum(1 for place, letter in enumerate(letters) if letter == chr(ord("A") + place))
    return run[:right] if right >= 2 else []
