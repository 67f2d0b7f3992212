"""Whether a text reads like the questions that are known: how surprising its letters are, three at a time."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

CLASSES = 32
LENGTHS = (8, 16, 32, 64, 128, 256, 512, 1024)
"""Numbers of characters for which a limit is known; between them it is interpolated."""
_STEP = 0.05
"""Nats that one unit of the stored table stands for."""
_FOREIGN_SURPRISE = 6.0
"""Of a character that is not ASCII, whatever stood before: a text full of them is in another script."""
_SPACE, _DIGIT, _MARK, _SYMBOL, _FOREIGN = 26, 27, 28, 29, 30


def _classes() -> bytes:
    kinds = bytearray([_FOREIGN] * 256)
    for code in range(128):
        letter = chr(code)
        if letter.isalpha():
            kinds[code] = ord(letter.lower()) - ord("a")
        elif letter.isspace():
            kinds[code] = _SPACE
        elif letter.isdigit():
            kinds[code] = _DIGIT
        else:
            kinds[code] = _MARK if letter in ".,;:'\"!()-" else _SYMBOL
    # Question marks were made full stops before, so this is what stands for all that is not ASCII.
    kinds[ord("?")] = _FOREIGN
    return bytes(kinds)


_KIND = _classes()
_QUOTES = str.maketrans("‘’“”–—…", "''\"\"--.")


def triples(text: str) -> NDArray[np.int32]:
    """The text's overlapping triples of character classes, as numbers."""
    plain = text.translate(_QUOTES).replace("?", ".").encode("ascii", "replace")
    kinds = np.frombuffer(plain.translate(_KIND), dtype=np.uint8).astype(np.int32)
    return np.asarray((kinds[:-2] * CLASSES + kinds[1:-1]) * CLASSES + kinds[2:])


class Language:
    """The surprise of triples, and how much of it a text of each length may have. `limits`: nats, for `LENGTHS`."""

    def __init__(self, table: NDArray[np.uint8], limits: Sequence[float]):
        self._table = table
        self._surprise = table.astype(np.float32) * _STEP
        self.limits = tuple(limits)

    @classmethod
    def learn(cls, texts: Iterable[str], limits: Sequence[float] = ()) -> Language:
        """Of texts: how seldom a third character follows two others."""
        counts = np.zeros(CLASSES**3)
        for text in texts:
            counts += np.bincount(triples(text), minlength=CLASSES**3) if len(text) > 2 else 0
        by_pair = counts.reshape(-1, CLASSES)
        single = by_pair.sum(0) + 1
        smooth = by_pair + 5 * single / single.sum()
        surprise = -np.log(smooth / smooth.sum(1, keepdims=True))
        surprise[:, _FOREIGN] = _FOREIGN_SURPRISE
        return cls(np.clip(np.rint(surprise.ravel() / _STEP), 0, 255).astype(np.uint8), limits)

    @classmethod
    def read(cls, table: str, limits: Sequence[float]) -> Language:
        """As it was written down."""
        return cls(np.frombuffer(base64.b64decode(table), dtype=np.uint8), limits)

    def written(self) -> str:
        """The table as text."""
        return base64.b64encode(self._table.tobytes()).decode()

    def surprise(self, text: str) -> float:
        """Nats per character; 0 for a text of fewer than three."""
        found: NDArray[Any] = self._surprise[triples(text)] if len(text) > 2 else np.zeros(1)
        return float(found.mean())

    def knows(self, text: str) -> bool:
        """Whether the text surprises no more than known ones of its length do."""
        return self.surprise(text) <= float(np.interp(np.log(max(1, len(text))), np.log(LENGTHS), self.limits))
