"""Search queries as a shop's visitors type them: distinct, 8 to 32 tokens long, every length equally often."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from bench.text import words

SHORTEST, LONGEST = 8, 32
_SPECIAL = 2
_TRIES = 20


class Queries:
    """An endless supply for one model's tokenizer; the same seed gives the same queries.

    Lengths are the model's own: tokens of its tokenizer, the special ones included.
    """

    def __init__(self, tokenizer: Path, seed: int) -> None:
        from tokenizers import Tokenizer

        self._tokenizer: Any = Tokenizer.from_file(str(tokenizer))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._random = random.Random(seed)
        self._seen: set[str] = set()
        # A word's tokens do not depend on its neighbours, so the tokens of a phrase are the sum over its words.
        self._size = cache(lambda phrase: len(self._tokenizer.encode(phrase, add_special_tokens=False).ids))

    def take(self, count: int) -> list[str]:
        """So many queries that were not given before."""
        found: list[str] = []
        while len(found) < count:
            wanted = self._random.randint(SHORTEST, LONGEST)
            found.append(self._new(wanted))
        return found

    def lengths(self, texts: list[str]) -> list[int]:
        """The number of tokens of each, by the tokenizer."""
        return [len(ids) for ids in self.tokens(texts)]

    def tokens(self, texts: list[str]) -> list[list[int]]:
        """The token ids of each, the special ones included."""
        return [encoding.ids for encoding in self._tokenizer.encode_batch(texts)]

    def _new(self, tokens: int) -> str:
        while True:
            text = fill(self._random, tokens - _SPECIAL, self._size)
            if text is not None and text not in self._seen:
                self._seen.add(text)
                return text


def fill(random: random.Random, room: int, size: Callable[[str], int]) -> str | None:
    """A query of exactly so many tokens; None where this draw does not come out even."""
    phrases: list[str] = []
    for phrase in _clauses(random):
        if size(phrase) <= room:
            phrases.append(phrase)
            room -= size(phrase)
        if room == 0:
            return " ".join(phrases)
    return None


def _clauses(draw: random.Random) -> Iterator[str]:
    """What is wanted first, then what it is for, then single words to fill the rest."""
    yield draw.choice(words.THINGS)
    rest = [
        draw.choice(words.QUALITIES),
        draw.choice(words.COLOURS),
        draw.choice(words.MATERIALS),
        f"for {draw.choice(words.PEOPLE)}",
        f"for {draw.choice(words.USES)}",
        f"with {draw.choice(words.FEATURES)}",
        f"and {draw.choice(words.FEATURES)}",
        f"in {draw.choice(words.PLACES)}",
        f"under {draw.randrange(10, 400, 5)} euros",
        f"size {draw.randrange(34, 49)}",
    ]
    draw.shuffle(rest)
    yield from rest
    yield from draw.sample(words.ENDINGS, len(words.ENDINGS))
