"""Which tokens of an over-long input stay: all special ones, and of its texts as much as fits."""

from __future__ import annotations

from collections.abc import Collection, Sequence


def kept(sequences: Sequence[int | None], limit: int) -> list[int]:
    """The positions that stay, at most `limit` where the special tokens leave room.

    `sequences`: for every token, the number of the text that it is from; None for special tokens.
    """
    specials = sum(number is None for number in sequences)
    first = sum(number == 0 for number in sequences)
    room = longest_first(first, len(sequences) - specials - first, max(0, limit - specials))
    left = list(room)
    stay: list[int] = []
    for position, number in enumerate(sequences):
        if number is None:
            stay.append(position)
        elif left[number] > 0:
            left[number] -= 1
            stay.append(position)
    return stay


def longest_first(first: int, second: int, room: int) -> tuple[int, int]:
    """How many tokens of each of two texts stay: the longer is cut first (as in `tokenizers`, "longest_first")."""
    if first + second <= room:
        return first, second
    shorter = min(first, second)
    if shorter > room - shorter:
        small, large = room // 2, room - room // 2
    else:
        small, large = shorter, room - shorter
    return (small, large) if first <= second else (large, small)


def cut_ids(ids: Sequence[int], limit: int, specials: Collection[int]) -> list[int]:
    """Token ids that came as such, cut; a special token at the end stays there."""
    if len(ids) <= limit:
        return list(ids)
    if ids[-1] in specials and limit > 1:
        return [*ids[: limit - 1], ids[-1]]
    return list(ids[:limit])
