"""What is kept of a question for a later calibration: numbers that describe it, never its words."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from penstock.routing.complexity.features import NAMES, VERSION


class _Kept(msgspec.Struct, omit_defaults=True):
    v: int
    x: tuple[float | None, ...]
    u: tuple[str, ...] = ()


class Logged:
    """A question's features (NaN: it has no options), and why the gate did not know it (empty: it did). `version`: of
    the meaning of the features."""

    def __init__(self, version: int, row: Sequence[float], unsure: tuple[str, ...] = ()):
        self.version = version
        self.row = tuple(row)
        self.unsure = unsure

    def written(self) -> str:
        """As one short line of JSON."""
        row = tuple(None if math.isnan(value) else round(value, 4) for value in self.row)
        return msgspec.json.encode(_Kept(self.version, row, self.unsure)).decode()

    @classmethod
    def read(cls, text: str | bytes) -> Logged:
        """Raises `ValueError` for what is none, or was written by another version of the features."""
        try:
            kept = msgspec.json.decode(text, type=_Kept)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise ValueError("no features that Penstock has logged") from None
        if kept.v != VERSION or len(kept.x) != len(NAMES):
            raise ValueError("features of another version of Penstock")
        return cls(kept.v, [math.nan if value is None else value for value in kept.x], kept.u)
