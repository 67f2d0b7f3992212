"""Stop strings, across the borders of tokens."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.runtimes.generation.marks.parts import Met, Part, Said


class _Word:
    """One stop string, and how much of it the text so far ends with (Knuth, Morris and Pratt's automaton, so that a
    long text costs no more than its length, whatever the string)."""

    __slots__ = ("_fallback", "matched", "text")

    def __init__(self, text: str):
        self.text = text
        self.matched = 0
        self._fallback = [0] * len(text)
        for at in range(1, len(text)):
            self._fallback[at] = self._next(text[at], self._fallback[at - 1])

    def _next(self, character: str, matched: int) -> int:
        while matched and self.text[matched] != character:
            matched = self._fallback[matched - 1]
        return matched + (self.text[matched] == character)

    def read(self, character: str) -> bool:
        """Whether this character completes the string."""
        self.matched = self._next(character, self.matched)
        return self.matched == len(self.text)


class Stops:
    """Ends an answer before the first of its stop strings. What may be the beginning of one is held back."""

    def __init__(self, stops: Sequence[str]):
        self._words = [_Word(stop) for stop in stops if stop]
        self._first = frozenset(word.text[0] for word in self._words)
        self._held = ""
        self._at = 0

    def feed(self, said: Said) -> list[Part]:
        """More text."""
        if not self._held and self._first.isdisjoint(said.text):
            return [said]
        if not self._held:
            self._at = said.start
        text = self._held + said.text
        for at in range(len(self._held), len(text)):
            met = [word for word in self._words if word.read(text[at])]
            if met:
                stop = max((word.text for word in met), key=len)
                return [*self._release(text, at + 1 - len(stop)), Met(stop)]
        return self._release(text, len(text) - max(word.matched for word in self._words))

    def end(self, cut: bool = False) -> list[Part]:
        """What was held back."""
        for word in self._words:
            word.matched = 0
        return self._release(self._held, len(self._held))

    def _release(self, text: str, until: int) -> list[Part]:
        self._held = text[until:]
        start, self._at = self._at, self._at + until
        return [Said(text[:until], start)] if until else []
