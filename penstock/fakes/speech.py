"""What a fake model says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Said:
    """`text`: None repeats what the user said last. `calls`: tools that it calls, with their arguments as JSON text.
    `finish`: why it ends, in the provider's own words ("" for the usual ones). Tokens are words."""

    text: str | None = None
    reasoning: str = ""
    calls: Sequence[tuple[str, str]] = ()
    finish: str = ""
    cached_tokens: int = 0

    def words(self, asked: str) -> list[str]:
        """The text in the pieces in which it is said."""
        return pieces(f"You said: {asked}" if self.text is None else self.text)

    def thoughts(self) -> list[str]:
        """The reasoning in the pieces in which it is said."""
        return pieces(self.reasoning)


def pieces(text: str) -> list[str]:
    """A text as words, each with the blank before it."""
    first, *rest = text.split(" ")
    return [piece for piece in (first, *(f" {word}" for word in rest)) if piece]


def vector(text: str, size: int) -> list[float]:
    """A text's embedding: always the same for the same text, of length 1 (L1), different for different ones."""
    raw = [float((byte * 31 + place * 7) % 97 + 1) for place, byte in enumerate(text.encode()[:size].ljust(size, b"~"))]
    total = sum(raw)
    return [value / total for value in raw]


def words_in(*texts: str) -> int:
    """How many tokens texts are, to a fake: their words."""
    return sum(len(text.split()) for text in texts)
