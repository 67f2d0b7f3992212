"""Takes tool calls out of an answer's text, whatever their format.

A call is reported once it is whole and good: a name that was offered, arguments that are a JSON object, so nobody is
made to execute a half. What only looks like one is text. One that the length cut short is nothing: its marks are not
meant for people, and the end says why there is no more.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple, Protocol

from penstock.runtimes.generation.marks.json_calls import Broken, Extent, begins_call
from penstock.runtimes.generation.marks.parts import Called, Part, Said, overlap


class Found(NamedTuple):
    """Calls, and the index of the text after them."""

    calls: list[Called]
    end: int


class CallFormat(Protocol):
    """How a model writes tool calls. `opening` begins one. `shown`: marks that may be control tokens. `bare`: calls may
    begin an answer without a mark, at "{". `closing` may follow one."""

    opening: str
    shown: tuple[str, ...]
    bare: bool
    closing: str

    def read(self, text: str, start: int, names: Collection[str], extent: Extent) -> Found | None:
        """The calls written at `start`, after their mark; None while more text is needed. Raises `Broken`."""


class Calls:
    """Separates what an answer says from the calls of `names` in it. White space beside a call is dropped."""

    def __init__(self, format: CallFormat, names: Collection[str]):
        self._format = format
        self._names = names
        self._text = ""
        self._at = 0
        self._read = self._begin
        self._any = False
        self._marked = False
        self._body = 0
        self._extent = Extent()

    def feed(self, said: Said) -> list[Part]:
        """More text."""
        if not self._text:
            self._at = said.start
        self._text += said.text
        parts: list[Part] = []
        while self._text and self._read(parts):
            pass
        return parts

    def end(self, cut: bool = False) -> list[Part]:
        """What was held back. A call that is not whole is text, or, where the length cut it short, nothing."""
        parts: list[Part] = []
        if self._text:
            self._say(parts, self._kept(cut))
            self._text, self._read = "", self._speak
        return parts

    def _kept(self, cut: bool) -> int:
        """How many characters of what was held back are text."""
        if self._read == self._close or (self._any and not self._text.strip()):
            return 0
        if cut and self._read == self._call and (self._marked or begins_call(self._text, self._names)):
            return 0
        mark = overlap(self._text, self._format.opening) if cut and self._read == self._speak else 0
        return len(self._text[:-mark].rstrip()) if mark else len(self._text)

    # Each of these reads from `_text` in one situation, and says whether to go on with what is left.

    def _begin(self, parts: list[Part]) -> bool:
        """Where a call may stand without a mark: at the beginning, and after a call."""
        text = self._text.lstrip()
        if not text:
            return False
        if self._format.bare and text[0] == "{":
            return self._open(len(self._text) - len(text), marked=False)
        if self._any:
            self._drop(len(self._text) - len(text))
        self._read = self._speak
        return True

    def _speak(self, parts: list[Part]) -> bool:
        """Text, until a mark. White space before one is the call's, so it waits."""
        found = self._text.find(self._format.opening)
        if found >= 0:
            self._say(parts, len(self._text[:found].rstrip()))
            return self._open(self._text.index(self._format.opening) + len(self._format.opening), marked=True)
        until = len(self._text) - overlap(self._text, self._format.opening)
        self._say(parts, len(self._text[:until].rstrip()))
        return False

    def _open(self, body: int, *, marked: bool) -> bool:
        self._body, self._extent, self._read = body, Extent(), self._call
        self._marked = marked
        return True

    def _call(self, parts: list[Part]) -> bool:
        """A call, or what looked like one."""
        try:
            found = self._format.read(self._text, self._body, self._names, self._extent)
        except Broken:
            self._say(parts, max(self._body, 1 + len(self._text) - len(self._text.lstrip())))
            self._read = self._speak
            return True
        if found is None:
            return False
        parts += found.calls
        self._any = True
        self._drop(found.end)
        self._read = self._close
        return True

    def _close(self, parts: list[Part]) -> bool:
        """After a call: the mark that closes it, if there is one."""
        text, closing = self._text.lstrip(), self._format.closing
        if not closing or text.startswith(closing):
            self._drop(len(self._text) - len(text) + len(closing))
        elif closing.startswith(text):
            return False
        self._read = self._begin
        return True

    def _say(self, parts: list[Part], until: int) -> None:
        if until:
            parts.append(Said(self._text[:until], self._at))
            self._drop(until)

    def _drop(self, count: int) -> None:
        self._text = self._text[count:]
        self._at += count
