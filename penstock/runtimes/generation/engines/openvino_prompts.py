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
    multiples; 0: never. First come, first served. Only a prompt that is over the whole budget is split (or computed
    alone), and it leaves a part of the step to shorter ones behind it.
    """
    ends, left = [0] * len(waiting), budget
    for number, (length, cached) in enumerate(waiting[: max(0, places)]):
        new, last = length - cached, number == len(waiting) - 1
        if new <= left:
            ends[number] = length
        elif new <= budget or (not block and any(ends)):
            break
        else:
            ends[number] = _end(length, cached, left if last else left - budget // 4, block)
        left -= max(0, ends[number] - cached)
    return ends


def _end(length: int, cached: int, share: int, block: int) -> int:
    """The end of the last whole block within the share, if that is any; all, where prompts are not split."""
    end = (cached + share) // block * block if block else length
    return end if end > cached else 0
