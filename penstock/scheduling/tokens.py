"""How many tokens a request has, before its text is tokenized: an estimate that learns. Pure.

The tokenizer lives in the worker. Batches are formed here, from what a byte of text has been worth so
far; the worker counts exactly, sorts by length and pads within the batch.
"""

from __future__ import annotations

from typing import NamedTuple

from penstock.core.tensors import Array, Tensors
from penstock.core.text import PAIR, TEXT, TOKEN_IDS

FIRST_RATIO = 0.3
"""Tokens per byte before anything was seen: WordPiece on English text (0.2 to 0.25), and some reserve."""
SPECIAL = 2
"""Special tokens that frame a text."""
LEAST_RATIO, MOST_RATIO = 0.05, 1.0
"""Tokens per byte that a row may show: runs of blanks have next to none, and would have batches of real text burst."""
_EVIDENCE = 4096
"""Bytes of one row that count at most, so that no single text decides."""
_ID_BYTES = 4
_MEMORY = 65_536.0
"""Bytes of text after which an older half of the evidence counts half."""


class LaneKey(NamedTuple):
    """What work must share to run in one batch, and how long its rows are: lanes of equal `kind` may be mixed."""

    kind: object
    band: int


class TokenMeter:
    """Estimates tokens per row; `most` is the longest input that the model reads, in tokens."""

    def __init__(self, most: int):
        self.most = most
        self._bytes = 1024.0
        self._tokens = self._bytes * FIRST_RATIO

    @property
    def ratio(self) -> float:
        """Tokens per byte of text, special tokens apart."""
        return self._tokens / self._bytes

    def rows(self, tensors: Tensors) -> list[int]:
        """Estimated tokens of every row."""
        ratio, most = self.ratio, self.most
        text = tensors.get(TEXT)
        counts = [SPECIAL + int(size * ratio) for size in _sizes(text.array)] if text else []
        for name, per_byte in ((PAIR, ratio), (TOKEN_IDS, 1 / _ID_BYTES)):
            more = tensors.get(name)
            if more:
                sizes = _sizes(more.array)
                counts = [a + int(b * per_byte) for a, b in zip(counts or [0] * len(sizes), sizes, strict=True)]
        return [min(count, most) for count in counts]

    def learn(self, tensors: Tensors, tokens: Array) -> None:
        """Takes in what rows had in truth. tokens: [rows]; rows that may have been cut teach nothing."""
        text = tensors.get(TEXT)
        if text is None or TOKEN_IDS in tensors or len(text.array) != len(tokens):
            return
        pair = tensors.get(PAIR)
        extra = _sizes(pair.array) if pair else [0] * len(tokens)
        for size, more, count in zip(_sizes(text.array), extra, tokens.tolist(), strict=True):
            if count < self.most:
                self._see(size + more, count - SPECIAL)
        while self._bytes > _MEMORY:
            self._bytes, self._tokens = self._bytes / 2, self._tokens / 2

    def _see(self, size: int, tokens: int) -> None:
        seen = min(size, _EVIDENCE)
        self._bytes += seen
        self._tokens += min(max(tokens * seen / max(1, size), LEAST_RATIO * seen), MOST_RATIO * seen)


def band(tokens: int) -> int:
    """The length class of a row: two per doubling, so that rows of one class pad by at most two fifths."""
    exponent = max(1, tokens).bit_length()
    return 2 * exponent + (tokens >= 3 << exponent >> 2)


def slices(counts: list[int], budget: int, most_rows: int) -> list[tuple[int, int]]:
    """Consecutive rows as pieces (start, stop) of at most `budget` tokens and `most_rows` rows each; a longer row
    is a piece of its own."""
    pieces: list[tuple[int, int]] = []
    start = total = 0
    for index, count in enumerate(counts):
        if index > start and (total + count > budget or index - start == most_rows):
            pieces.append((start, index))
            start, total = index, 0
        total += count
    return [*pieces, (start, len(counts))]


def _sizes(array: Array) -> list[int]:
    return list(map(len, array.tolist()))
