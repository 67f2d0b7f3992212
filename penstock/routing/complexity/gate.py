"""Does the estimator know this kind of text? What it does not know goes to the strong model."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence

from penstock.routing.complexity import words as vocabulary
from penstock.routing.complexity.features import FEATURES
from penstock.routing.complexity.language import Language
from penstock.routing.complexity.parts import Question, words

LEAST_WORDS = 3
LONGEST = 8000
"""Characters."""
MANY_WORDS, COMMON_SHARE = 8, 0.12
_GREETING = re.compile(r"^(?:(?:hi|hello|hey|please|kindly|ok|okay|now|so)\b[ ,.!]*)+")
_REQUEST = re.compile(
    r"^(?:(?:can|could|would|will) you\b[ ,]*|please\b[ ,]*|help me(?: to)?\b[ ,]*|tell me\b[ ,]*"
    r"|i(?: would|'d)? (?:want|need|like)(?: you)? to\b[ ,]*)+"
)
_FENCES = ("```", "</")
_QUERY = re.compile(r"^[ \t]*select\b[^\n]{1,80}\bfrom\b", re.MULTILINE | re.IGNORECASE)
_CODE_LINE = re.compile(
    r"^[ \t]*(?:def|class|import|from|function|const|let|var|public|private|return|for|while|if)\b[^\n?]*[;:{(][ \t]*$"
    r"|[;{}][ \t]*$",
    re.MULTILINE,
)
_SENTENCE = re.compile(r"[.!?:;]\s+|\n+|, ")


def reasons(
    question: Question, row: Sequence[float], bounds: Sequence[Sequence[float]], language: Language
) -> Iterator[str]:
    """All that makes the text no question of a known kind, in a few words each.

    `row`: its features; `bounds`: the least and the greatest value of each that was seen in training.
    """
    stem = question.stem
    if question.length > LONGEST:
        yield "longer than any known question"
    if len(question.words) < LEAST_WORDS and not question.options:
        yield "too short to judge"
    if code(stem):
        yield "holds code"
    if not language.knows(stem) or not (question.options or english(question.words)):
        yield "reads like no known question (another language, or no words)"
    if why := form(question):
        yield why
    yield from _beyond(row, bounds)


def code(stem: str) -> bool:
    """Whether it holds marks of code, or at least two lines of it."""
    if any(fence in stem for fence in _FENCES) or _QUERY.search(stem):
        return True
    return "\n" in stem and len(_CODE_LINE.findall(stem)) >= 2


def english(said: Sequence[str]) -> bool:
    """Whether enough of the words are those that English is full of."""
    if len(said) < LEAST_WORDS:
        return True
    common = sum(word in vocabulary.COMMON for word in said)
    return common > 0 if len(said) < MANY_WORDS else common >= len(said) * COMMON_SHARE


def form(question: Question) -> str:
    """Why the text asks for no single right answer, as far as its form says; "" where it seems to."""
    if question.options:
        return ""
    said = _GREETING.sub("", question.stem.lower().lstrip())
    bare = _REQUEST.sub("", said)
    opening = words(bare)
    if opening and opening[0] in vocabulary.MAKE:
        return f"asks for something to be made ({opening[0]})"
    # Of a polite request the question mark says nothing.
    if bare == said and ("?" in bare or "__" in bare):
        return ""
    begins = [opening[:1], *(words(sentence)[:1] for sentence in _SENTENCE.split(question.stem))]
    asks = any(word and word[0] in vocabulary.WORK | vocabulary.QUESTION for word in begins)
    return "" if asks else "is no question"


def _beyond(row: Sequence[float], bounds: Sequence[Sequence[float]]) -> Iterator[str]:
    for feature, value, (low, high) in zip(FEATURES, row, bounds, strict=True):
        slack = 0.1 * (high - low)
        if not math.isnan(value) and not low - slack <= value <= high + slack:
            yield f"is beyond what is known in {feature.name.replace('_', ' ')}"
