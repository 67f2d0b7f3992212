"""Regular expressions of schemas as grammars: those that are regular, small, and mean the same to everyone."""

from __future__ import annotations

from penstock.core.errors import BadInput
from penstock.runtimes.generation.grammar.ambiguity import runs_on
from penstock.runtimes.generation.grammar.nodes import (
    EMPTY,
    LAST,
    Chars,
    Node,
    Ranges,
    Repeat,
    Text,
    chars,
    choice,
    complement,
    intersection,
    sequence,
    union,
)

_LONGEST = 1000
_DEEPEST = 20
_MOST, _MOST_NESTED = 1000, 100
"""Repetitions, alone and those inside of others multiplied: engines follow all that a text may be at once."""
_MOST_UNCLEAR = 5
_ASCII: Ranges = ((0, 0x7F),)
_SPACES = chars(" \t\n\r\f\v").ranges
_ALL_SPACES = union(_SPACES, ((0x1C, 0x1F), (0x85, 0x85), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A)))
_ALL_SPACES = union(_ALL_SPACES, ((0x2028, 0x2029), (0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000)))
_ALL_SPACES = union(_ALL_SPACES, ((0xFEFF, 0xFEFF),))
_WORD = chars("a-zA-Z0-9_").ranges
_SHORTHANDS: dict[str, Ranges] = {
    "d": chars("0-9").ranges,
    "w": _WORD,
    "s": _SPACES,
    "D": intersection(_ASCII, complement(chars("0-9").ranges)),
    "W": intersection(_ASCII, complement(union(_WORD, _SPACES))),
    "S": intersection(complement(_ALL_SPACES), complement(((0xD800, 0xDFFF),))),
}
"""Only what every dialect of regular expressions takes these for."""
_BROAD: dict[str, Ranges] = {"d": complement(_SHORTHANDS["D"]), "s": _ALL_SPACES}
_BROAD |= {"w": union(complement(_ASCII), _WORD), "D": complement(chars("0-9").ranges), "S": complement(_SPACES)}
_BROAD["W"] = complement(_WORD)
"""All that some dialect takes these for: what a negated class leaves out."""
_CONTROLS = {"n": "\n", "r": "\r", "t": "\t", "f": "\f", "v": "\v"}
_NO_LINE = complement(((0x0A, 0x0A), (0x0D, 0x0D), (0x2028, 0x2029)))


def pattern(text: str) -> Node:
    """What a string must be so that the expression is found in it, as `pattern` of JSON Schema means.

    Raises `BadInput` for what is not understood: lookaround, back references, word boundaries, flags, Unicode classes.
    """
    if len(text) > _LONGEST:
        raise BadInput(f"a pattern of more than {_LONGEST} characters is not accepted")
    return _Parser(text).whole()


class _Parser:
    def __init__(self, text: str):
        self._text = text
        self._at = 0
        self._depth = 0

    def whole(self) -> Node:
        """Anchors may be at the ends of an alternative; where there is none, anything may come before or after."""
        options = [self._anchored()]
        while self._take("|"):
            options.append(self._anchored())
        if self._at < len(self._text):
            raise self._wrong("an unbalanced )")
        return choice(*options)

    def _anchored(self) -> Node:
        anything = Repeat(Chars(complement(())), 0, None)
        before = EMPTY if self._take("^") else anything
        node, _ = self._row()
        after = EMPTY if self._take("$") else anything
        return sequence(before, node, after)

    def _options(self) -> tuple[Node, int]:
        node, weight = self._row()
        options = [node]
        while self._take("|"):
            node, more = self._row()
            options.append(node)
            weight = max(weight, more)
        return choice(*options), weight

    def _row(self) -> tuple[Node, int]:
        """Items one after the other, and how often the most repeated of them is repeated."""
        parts, weight = [], 1
        while self._at < len(self._text) and self._peek() not in "|)$":
            node, more = self._repeated()
            parts.append(node)
            weight = max(weight, more)
        return sequence(*parts), weight

    def _repeated(self) -> tuple[Node, int]:
        node, weight = self._item()
        counts = self._counts()
        if counts is None:
            return node, weight
        low, high = counts
        if self._peek() == "?":
            self._at += 1
        if self._counts() is not None or self._peek() == "+":
            raise self._wrong("a repetition of a repetition")
        count = max(low, high or 0, 1)
        if count > _MOST or (weight > 1 and weight * count > _MOST_NESTED):
            limits = f"{_MOST} times, or {_MOST_NESTED} times with repetitions inside"
            raise BadInput(f"the pattern {self._text[:100]!r} repeats something more than {limits}: not accepted")
        if count > _MOST_UNCLEAR and runs_on(node):
            raise BadInput(
                f"the pattern {self._text[:100]!r} counts to {count} what has no clear end: end it with a character "
                f"that it does not begin with, or count to {_MOST_UNCLEAR} at most"
            )
        weight *= count
        return Repeat(node, low, high), weight

    def _counts(self) -> tuple[int, int | None] | None:
        signs: dict[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}
        sign = self._peek()
        if sign in signs:
            self._at += 1
            return signs[sign]
        end = self._text.find("}", self._at)
        if sign != "{" or end < 0:
            return None
        low, comma, high = self._text[self._at + 1 : end].partition(",")
        if not low.isascii() or not low.isdigit() or len(low + high) > 12 or (high and not high.isdigit()):
            raise self._wrong("a { that counts nothing")
        self._at = end + 1
        counts = int(low), (int(high) if high else None) if comma else int(low)
        if counts[1] is not None and counts[1] < counts[0]:
            raise self._wrong("a repetition whose end is before its beginning")
        return counts

    def _item(self) -> tuple[Node, int]:
        sign = self._next()
        if sign == "(":
            return self._group()
        if sign == "[":
            return Chars(self._class()), 1
        if sign == ".":
            return Chars(_NO_LINE), 1
        if sign == "\\":
            return self._escape(), 1
        if sign in "^$*+?{}]":
            raise self._wrong(f"{sign} at this place")
        return Text(sign), 1

    def _group(self) -> tuple[Node, int]:
        if self._take("?") and not self._take(":"):
            raise self._wrong("lookaround, a named group or flags")
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._wrong(f"more than {_DEEPEST} groups inside each other")
        found = self._options()
        if not self._take(")"):
            raise self._wrong("an anchor inside of a group" if self._peek() == "$" else "a group without an end")
        self._depth -= 1
        return found

    def _escape(self) -> Node:
        sign = self._next()
        if sign in _SHORTHANDS:
            return Chars(_SHORTHANDS[sign])
        return Text(self._character(sign))

    def _character(self, sign: str) -> str:
        """The character that an escape stands for."""
        if sign in _CONTROLS:
            return _CONTROLS[sign]
        if sign in "xu":
            return self._code(2 if sign == "x" else 4)
        if sign.isalnum():
            raise self._wrong(f"the escape \\{sign}")
        return sign

    def _code(self, digits: int) -> str:
        code = self._text[self._at : self._at + digits]
        if len(code) < digits or set(code) - set("0123456789abcdefABCDEF") or 0xD800 <= int(code, 16) <= 0xDFFF:
            raise self._wrong("a character code")
        self._at += digits
        return chr(int(code, 16))

    def _class(self) -> Ranges:
        negated = self._take("^")
        shorthands = _BROAD if negated else _SHORTHANDS
        found: list[Ranges] = []
        while not self._take("]"):
            low = self._member(shorthands)
            if (
                isinstance(low, str)
                and self._peek() == "-"
                and self._text[self._at + 1 : self._at + 2] not in ("]", "")
            ):
                self._at += 1
                high = self._member(shorthands)
                if not isinstance(high, str) or high < low:
                    raise self._wrong("a range without an end")
                found.append(((ord(low), ord(high)),))
            else:
                found.append(((ord(low), ord(low)),) if isinstance(low, str) else low)
        ranges = union(*found)
        return complement(union(ranges, ((0xD800, 0xDFFF),))) if negated else intersection(ranges, ((0, LAST),))

    def _member(self, shorthands: dict[str, Ranges]) -> str | Ranges:
        sign = self._next()
        if sign != "\\":
            if sign == "[" and self._peek() == ":":
                raise self._wrong("a named class")
            return sign
        sign = self._next()
        if sign == "b":
            return "\b"
        return shorthands[sign] if sign in shorthands else self._character(sign)

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _next(self) -> str:
        if self._at >= len(self._text):
            raise self._wrong("an end too early")
        self._at += 1
        return self._text[self._at - 1]

    def _take(self, sign: str) -> bool:
        found = self._peek() == sign
        self._at += found
        return found

    def _wrong(self, what: str) -> BadInput:
        return BadInput(f"the pattern {self._text[:100]!r} cannot be enforced: {what}, near character {self._at}")
