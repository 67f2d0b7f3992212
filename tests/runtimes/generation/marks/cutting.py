"""A text put through stages, whole and in pieces; what comes of it, put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from penstock.runtimes.generation.marks.parts import Met, Part, Said, Stage, ended, through


def read(stages: Sequence[Stage], pieces: Sequence[str], short: bool = False) -> list[Part]:
    """All parts of a text that comes in these pieces, neighbouring ones of a kind joined, as an answer does it.
    `short`: the length ended it."""
    parts: list[Part] = []
    at = 0
    for piece in pieces:
        parts += through(stages, [Said(piece, at)] if piece else [])
        at += len(piece)
        if any(isinstance(part, Met) for part in parts):
            break
    else:
        parts += ended(stages, short)
    text = "".join(pieces)
    for part in parts:
        if isinstance(part, Said):
            assert text[part.start : part.start + len(part.text)] == part.text
            assert part.text
    return joined(parts)


def joined(parts: Sequence[Part]) -> list[Any]:
    """Kinds and texts, neighbours of a kind as one."""
    told: list[Any] = []
    for part in parts:
        if told and isinstance(part, (Said,)) and told[-1][0] == "Said":
            told[-1] = ("Said", told[-1][1] + part.text)
        elif told and type(part).__name__ == told[-1][0] == "Thought":
            told[-1] = ("Thought", told[-1][1] + part.text)
        elif isinstance(part, Said):
            told.append(("Said", part.text))
        else:
            told.append((type(part).__name__, *part))
    return told


def cut(text: str, places: Sequence[int]) -> list[str]:
    """The text cut at these places."""
    borders = [0, *sorted({place for place in places if 0 < place < len(text)}), len(text)]
    return [text[a:b] for a, b in pairwise(borders)]


def same_however_cut(
    stages: Callable[[], Sequence[Stage]], text: str, places: Sequence[int], short: bool = False
) -> list[Any]:
    """What the whole text becomes; cut at these places or at every character, it becomes the same."""
    whole = read(stages(), [text], short)
    assert read(stages(), cut(text, places), short) == whole
    assert read(stages(), list(text), short) == whole
    return whole
