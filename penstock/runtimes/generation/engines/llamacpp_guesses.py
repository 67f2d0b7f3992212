"""Guesses at the next tokens, for speculative decoding: from the text so far, or by a small model."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from penstock.runtimes.generation.engines.llamacpp_network import Network
from penstock.runtimes.generation.engines.llamacpp_slots import common


class Wish(NamedTuple):
    """A sequence's tokens so far, and how many guesses are welcome. `slot`: its number."""

    slot: int
    tokens: list[int]
    room: int


class Guesser(Protocol):
    """Guesses for many sequences at once."""

    def guess(self, wishes: list[Wish]) -> list[list[int]]:
        """For each wish up to `room` tokens, in the same order."""


class Lookup:
    """Prompt lookup: what followed the last tokens where they stood before. `shortest` to `longest`: how many."""

    def __init__(self, shortest: int, longest: int, sequences: int):
        self._lengths = range(max(longest, shortest), shortest - 1, -1)
        self._indexes = [Index(self._lengths) for _ in range(sequences)]

    def guess(self, wishes: list[Wish]) -> list[list[int]]:
        """What followed, by the longest match and the latest."""
        return [self._indexes[wish.slot].follow(wish.tokens, wish.room) for wish in wishes]


class Index:
    """Where runs of tokens stood in one sequence: after which position the latest ended."""

    def __init__(self, lengths: range):
        self._lengths = lengths
        self._seen: list[int] = []
        self._after: dict[tuple[int, ...], int] = {}

    def follow(self, tokens: list[int], room: int) -> list[int]:
        """The tokens that followed the last ones, where they stood before."""
        if common(self._seen, tokens) < len(self._seen):
            self._seen, self._after = [], {}
        start = self._find(tokens)
        self._learn(tokens)
        return tokens[start : start + room] if start else []

    def _find(self, tokens: list[int]) -> int:
        """The position after the latest earlier stand of the last tokens; 0 for none."""
        self._learn(tokens[:-1])
        return next((at for length in self._lengths if (at := self._after.get(tuple(tokens[-length:]), 0))), 0)

    def _learn(self, tokens: list[int]) -> None:
        for end in range(len(self._seen) + 1, len(tokens) + 1):
            for length in self._lengths:
                if length <= end:
                    self._after[tuple(tokens[end - length : end])] = end
        self._seen = list(tokens)


class Draft:
    """A small model of the same vocabulary, which guesses greedily for all sequences together."""

    def __init__(self, network: Network):
        self._network = network
        self._known: list[list[int]] = [[] for _ in range(network.size.sequences)]

    def guess(self, wishes: list[Wish]) -> list[list[int]]:
        """The small model's likeliest tokens."""
        guesses: list[list[int]] = [[] for _ in wishes]
        while open := [at for at, wish in enumerate(wishes) if len(guesses[at]) < wish.room]:
            for at, token in self._next({at: wishes[at].tokens + guesses[at] for at in open}, wishes).items():
                guesses[at].append(token)
        return guesses

    def _next(self, texts: dict[int, list[int]], wishes: list[Wish]) -> dict[int, int]:
        """The likeliest next token of each text."""
        left = {at: self._fresh(wishes[at].slot, tokens) for at, tokens in texts.items()}
        found: dict[int, int] = {}
        while left:
            rows = self._fill(left, wishes)
            self._network.decode()
            found |= {at: int(self._network.logits(row).argmax()) for at, row in rows.items()}
        return found

    def _fresh(self, slot: int, tokens: list[int]) -> list[int]:
        """What the small model has not read of a text; the last token in any case."""
        length = min(common(self._known[slot], tokens), len(tokens) - 1)
        if length < len(self._known[slot]):
            self._known[slot] = self._known[slot][:length] if self._network.keep(slot, length) else []
        return tokens[len(self._known[slot]) :]

    def _fill(self, left: dict[int, list[int]], wishes: list[Wish]) -> dict[int, int]:
        """Fills a batch from the texts; gives the rows of those that it completes, and takes these out."""
        batch, rows = self._network.batch, {}
        batch.clear()
        for at in list(left):
            slot, piece = wishes[at].slot, left[at][: batch.room]
            if not piece:
                break
            whole = len(piece) == len(left[at])
            row = batch.add(slot, piece, len(self._known[slot]), int(whole))
            self._known[slot] = self._known[slot] + piece
            left[at] = left[at][len(piece) :]
            if whole:
                rows[at] = row
                del left[at]
        return rows
