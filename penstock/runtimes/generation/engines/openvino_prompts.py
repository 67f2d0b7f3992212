"""Which prompts, and how much of them, are computed in the next step: pure decisions.

The library splits prompts by itself, at any token. It then takes a block of the cache that was computed in part for a
whole one: when its sequence is cancelled in that moment, the next prompt that begins alike gets wrong answers. So the
prompts are split here, at the ends of blocks, and every step ends with whole blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Waiting(NamedTuple):
    """A prompt of so many tokens, of which the cache knows some."""

    length: int
    cached: int


def plan(waiting: Sequence[Waiting], places: int, budget: int, block: int) -> list[int]:
    """Up to which token each prompt is computed now; 0: it waits.

    `places`: sequences that there is room for. `budget`: tokens that may be computed. `block`: prompts are split at its
    multiples; 0: never, and one that is over the budget is computed alone. First come, first served, but a prompt too
    long for the step leaves a part of it to shorter ones behind it.
    """
    ends = [0] * len(waiting)
    for number, (length, cached) in enumerate(waiting[: max(0, places)]):
        if not block and length - cached > budget and any(ends):
            break
        share = budget if length - cached <= budget or number == len(waiting) - 1 else budget - budget // 4
        ends[number] = _end(length, cached, share, block)
        budget -= max(0, ends[number] - cached)
        if budget < 1:
            break
    return ends


def _end(length: int, cached: int, share: int, block: int) -> int:
    if length - cached <= share or not block:
        return length
    end = (cached + share) // block * block
    return end if end > cached else 0
