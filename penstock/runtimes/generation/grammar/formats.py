"""Formats of strings. Each is a part of what its standard allows: all that comes out is valid."""

from __future__ import annotations

from collections.abc import Callable

from penstock.runtimes.generation.grammar.nodes import Node, Repeat, Text, chars, choice, optional, sequence

_DIGIT, _HEX = chars("0-9"), chars("0-9a-f")
_ALNUM, _WORD = chars("a-z0-9A-Z"), chars("a-zA-Z0-9_+-")


def _digits(count: int) -> Node:
    return Repeat(_DIGIT, count, count)


def _date() -> Node:
    """Days that every month of every year has, and those of its own."""
    day = choice(sequence(Text("0"), chars("1-9")), sequence(Text("1"), _DIGIT), sequence(Text("2"), chars("0-8")))
    month = choice(sequence(Text("0"), chars("1-9")), sequence(Text("1"), chars("0-2")))
    long = choice(*(Text(name) for name in ("01", "03", "05", "07", "08", "10", "12")))
    short = choice(*(Text(name) for name in ("04", "06", "09", "11")))
    late = choice(Text("29"), Text("30"))
    days = choice(
        sequence(month, Text("-"), day),
        sequence(short, Text("-"), late),
        sequence(long, Text("-"), choice(late, Text("31"))),
    )
    year = choice(sequence(chars("1-9"), _digits(3)), sequence(Text("0"), chars("1-9"), _digits(2)))
    return sequence(year, Text("-"), days)


def _time() -> Node:
    hour = choice(sequence(chars("01"), _DIGIT), sequence(Text("2"), chars("0-3")))
    sixty = sequence(chars("0-5"), _DIGIT)
    fraction = sequence(Text("."), Repeat(_DIGIT, 1, 6))
    offset = choice(Text("Z"), sequence(chars("+-"), hour, Text(":"), sixty))
    return sequence(hour, Text(":"), sixty, Text(":"), sixty, optional(fraction), offset)


def _uuid() -> Node:
    parts = [Repeat(_HEX, count, count) for count in (8, 4, 4, 4, 12)]
    return sequence(parts[0], *(sequence(Text("-"), part) for part in parts[1:]))


def _hostname() -> Node:
    word = Repeat(_ALNUM, 1, 12)
    label = sequence(word, Repeat(sequence(Text("-"), word), 0, 2))
    return sequence(label, Repeat(sequence(Text("."), label), 0, 5))


def _email() -> Node:
    word = Repeat(_WORD, 1, 20)
    label = sequence(chars("a-zA-Z"), Repeat(_ALNUM, 0, 20))
    top = Repeat(chars("a-zA-Z"), 2, 10)
    more = Repeat(sequence(label, Text(".")), 1, 4)
    return sequence(word, Repeat(sequence(Text("."), word), 0, 3), Text("@"), more, top)


def _ipv4() -> Node:
    byte = choice(
        _DIGIT,
        sequence(chars("1-9"), _DIGIT),
        sequence(Text("1"), _digits(2)),
        sequence(Text("2"), chars("0-4"), _DIGIT),
        sequence(Text("25"), chars("0-5")),
    )
    return sequence(byte, Repeat(sequence(Text("."), byte), 3, 3))


def _ipv6() -> Node:
    group = Repeat(_HEX, 1, 4)
    return sequence(group, Repeat(sequence(Text(":"), group), 7, 7))


def _uri() -> Node:
    path = Repeat(chars("a-zA-Z0-9._~/?&=+@:,;-"), 0, None)
    return sequence(choice(Text("https://"), Text("http://")), _hostname(), optional(sequence(Text("/"), path)))


def _duration() -> Node:
    some = Repeat(_DIGIT, 1, 4)
    date = choice(*(sequence(some, Text(unit)) for unit in "YMD"))
    time = choice(*(sequence(some, Text(unit)) for unit in "HMS"))
    return sequence(Text("P"), choice(date, sequence(Text("T"), time), sequence(some, Text("W"))))


FORMATS: dict[str, Callable[[], Node]] = {
    "date": _date,
    "time": _time,
    "date-time": lambda: sequence(_date(), Text("T"), _time()),
    "duration": _duration,
    "email": _email,
    "hostname": _hostname,
    "ipv4": _ipv4,
    "ipv6": _ipv6,
    "uri": _uri,
    "uuid": _uuid,
}
"""The formats that are enforced, by name."""
