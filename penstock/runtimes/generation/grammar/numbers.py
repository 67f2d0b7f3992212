"""Numbers between bounds, digit by digit."""

from __future__ import annotations

from decimal import Decimal

from penstock.runtimes.generation.grammar.json_text import DIGIT, FRACTION_DIGITS, INTEGER_DIGITS
from penstock.runtimes.generation.grammar.nodes import (
    EMPTY,
    NEVER,
    Node,
    Repeat,
    Text,
    chars,
    choice,
    optional,
    sequence,
)

_LARGEST = 10**INTEGER_DIGITS - 1


def integers(low: int | None, high: int | None) -> Node:
    """Integers from `low` to `high`, both included (None: as far as integers go)."""
    low = -_LARGEST if low is None else max(low, -_LARGEST)
    high = _LARGEST if high is None else min(high, _LARGEST)
    options: list[Node] = []
    if low < 0 and low <= high:
        options.append(sequence(Text("-"), naturals(max(1, -high), -low)))
    if high >= 0:
        options.append(naturals(max(0, low), high))
    return choice(*options)


def naturals(low: int, high: int) -> Node:
    """Integers from `low` to `high` without a sign."""
    options, whole = [], []
    for length in range(len(str(low)), len(str(high)) + 1):
        smallest, largest = 10 ** (length - 1) if length > 1 else 0, 10**length - 1
        first, last = max(low, smallest), min(high, largest)
        if length > 1 and (first, last) == (smallest, largest):
            whole.append(length)
        elif first <= last:
            options.append(_between(str(first), str(last)))
    if whole:
        options.append(sequence(chars("1-9"), Repeat(DIGIT, whole[0] - 1, whole[-1] - 1)))
    return choice(*options)


def _between(low: str, high: str) -> Node:
    """Digit strings of one length, from `low` to `high`."""
    if not low:
        return EMPTY
    rest = len(low) - 1
    if low == high:
        return Text(low)
    if set(low) == {"0"} and set(high) == {"9"}:
        return Repeat(DIGIT, len(low), len(low))
    if low[0] == high[0]:
        return sequence(Text(low[0]), _between(low[1:], high[1:]))
    if not rest:
        return chars(f"{low}-{high}")
    options = [sequence(Text(low[0]), _between(low[1:], "9" * rest))]
    if int(high[0]) - int(low[0]) > 1:
        middle = chars(f"{int(low[0]) + 1}-{int(high[0]) - 1}")
        options.append(sequence(middle, Repeat(DIGIT, rest, rest)))
    options.append(sequence(Text(high[0]), _between("0" * rest, high[1:])))
    return choice(*options)


def any_fraction() -> Node:
    """What may follow an integer where nothing bounds it: a point and digits, or nothing."""
    return _fraction("", False, None, False)


class Bound:
    """A bound of decimal numbers. `open`: the bound itself is outside."""

    def __init__(self, value: Decimal, open: bool):
        self.value = value
        self.open = open

    def negated(self) -> Bound:
        """The same bound of the negated numbers."""
        return Bound(-self.value, self.open)


def decimals(low: Bound | None, high: Bound | None) -> Node:
    """Numbers between the bounds, written without an exponent."""
    zero = Bound(Decimal(0), open=False)
    options = [_positive(low if low and low.value > 0 else _later(low, zero), high)]
    minus = _positive(_later(high.negated() if high else None, zero), low.negated() if low else None)
    if minus != NEVER:
        options.append(sequence(Text("-"), minus))
    return choice(*options)


def _later(bound: Bound | None, zero: Bound) -> Bound:
    """The bound, or zero where that is greater."""
    if bound is None or bound.value < 0:
        return zero
    return bound


def _positive(low: Bound, high: Bound | None) -> Node:
    """Numbers from `low` (zero or more) to `high`, without a sign."""
    first, below = _parts(low.value)
    if first > _LARGEST or (high is not None and high.value < low.value):
        return NEVER
    last, above = _parts(high.value) if high is not None and high.value <= _LARGEST else (_LARGEST + 1, "")
    bounded = high is not None and high.value <= _LARGEST
    if first == last:
        ends = _fraction(below, low.open, above, bool(high and high.open))
        return sequence(Text(str(first)), ends) if ends != NEVER else NEVER
    options = [sequence(Text(str(first)), _fraction(below, low.open, None, False))]
    if first + 1 <= last - 1:
        options.append(sequence(naturals(first + 1, last - 1), _fraction("", False, None, False)))
    if bounded:
        ends = _fraction("", False, above, bool(high and high.open))
        options += [sequence(Text(str(last)), ends)] if ends != NEVER else []
    return choice(*options)


def _parts(value: Decimal) -> tuple[int, str]:
    """The integer part and the digits of the fraction, without zeros at its end."""
    whole = int(value)
    digits = format(value - whole, "f").partition(".")[2].rstrip("0")
    return whole, digits


def _fraction(low: str, low_open: bool, high: str | None, high_open: bool) -> Node:
    """What may follow the integer part: nothing, or a point and digits, so that the fraction is between the bounds
    (`high` None: below 1)."""
    options: list[Node] = []
    if not low and not low_open and not (high == "" and high_open):
        options.append(EMPTY)
    digits = _digits(low, low_open, high, high_open, FRACTION_DIGITS, first=True)
    if digits != NEVER:
        options.append(sequence(Text("."), digits))
    return optional(options[1]) if len(options) == 2 else choice(*options)


def _digits(low: str | None, low_open: bool, high: str | None, high_open: bool, room: int, first: bool) -> Node:
    """Digits of a fraction; a bound of None no longer binds. The end is an option where what was written fits."""
    if low == "" and not low_open:
        low = None
    if low is None and high is None:
        return Repeat(DIGIT, 1 if first else 0, room)
    if (low, high) == ("", None):
        return sequence(Repeat(Text("0"), 0, room // 2), chars("1-9"), Repeat(DIGIT, 0, room // 2 - 1))
    if (low, high, high_open) == (None, "", False):
        return Repeat(Text("0"), 1 if first else 0, room)
    ends = not first and low is None
    following: dict[Node, list[int]] = {}
    for digit in range(10) if room else ():
        next_low, fits_low = _step(low, digit, lower=True)
        next_high, fits_high = _step(high, digit, lower=False)
        if fits_low and fits_high:
            rest = _digits(next_low, low_open, next_high, high_open, room - 1, first=False)
            following.setdefault(rest, []).append(digit)
    options = [sequence(_one_of(digits), rest) for rest, digits in following.items() if rest != NEVER]
    return choice(*([EMPTY] if ends and not (high == "" and high_open) else []), *options)


def _one_of(digits: list[int]) -> Node:
    """One of some digits, which follow each other."""
    return chars(f"{digits[0]}-{digits[-1]}") if len(digits) > 1 else Text(str(digits[0]))


def _step(bound: str | None, digit: int, lower: bool) -> tuple[str | None, bool]:
    """The bound after one more digit, and whether that digit keeps it."""
    if bound is None:
        return None, True
    own = int(bound[0]) if bound else 0
    if digit == own:
        return bound[1:], True
    return None, digit > own if lower else digit < own
