"""Thoughts before an answer: <think>...</think>."""

from __future__ import annotations

from penstock.runtimes.generation.marks.parts import Part, Said, Thought, overlap

OPEN, CLOSE = "<think>", "</think>"


class Thoughts:
    """Takes the thoughts at the beginning of an answer out of it, and the white space around them.

    `opened`: the prompt ended inside of them, as some templates have it. `thinking`: whether the text so far ends in
    thoughts; None while that cannot be told.
    """

    marks = (OPEN, CLOSE)

    def __init__(self, *, opened: bool = False):
        self.thinking: bool | None = True if opened else None
        self._text = ""
        self._at = 0
        self._fresh = True

    def feed(self, said: Said) -> list[Part]:
        """More text."""
        if self.thinking is False and not self._fresh:
            return [said]
        if not self._text:
            self._at = said.start
        self._text += said.text
        parts: list[Part] = []
        if self.thinking is None:
            self._decide()
        if self.thinking:
            self._think(parts)
        if self.thinking is False:
            self._answer(parts)
        return parts

    def end(self, cut: bool = False) -> list[Part]:
        """What was held back."""
        text, self._text = self._text, ""
        if self.thinking:
            text = text.strip() if self._fresh else text.rstrip()
            return [Thought(text)] if text else []
        if self.thinking is None:
            self._fresh = self.thinking = False
            return [Said(text, self._at)] if text else []
        return []

    def _decide(self) -> None:
        text = self._text.lstrip()
        if text.startswith(OPEN):
            self._drop(len(self._text) - len(text) + len(OPEN))
            self.thinking = True
        elif not OPEN.startswith(text):
            self.thinking = self._fresh = False

    def _think(self, parts: list[Part]) -> None:
        if self._fresh:
            self._drop(len(self._text) - len(self._text.lstrip()))
        close = self._text.find(CLOSE)
        until = close if close >= 0 else len(self._text) - overlap(self._text, CLOSE)
        thought = self._text[:until].rstrip()
        if thought:
            parts.append(Thought(thought))
            self._fresh = False
        self._drop(len(thought))
        if close >= 0:
            self._drop(close - len(thought) + len(CLOSE))
            self.thinking, self._fresh = False, True

    def _answer(self, parts: list[Part]) -> None:
        """After thoughts, `_fresh` says that white space is still dropped."""
        if self._fresh:
            self._drop(len(self._text) - len(self._text.lstrip()))
        if self._text:
            self._fresh = False
            parts.append(Said(self._text, self._at))
            self._text = ""

    def _drop(self, count: int) -> None:
        self._text = self._text[count:]
        self._at += count
