"""Tool calls as JSON: where a value ends, and what it says."""

from __future__ import annotations

import re
from collections.abc import Collection

import msgspec

from penstock.runtimes.generation.marks.parts import Called

_WHAT_COUNTS = re.compile(r'["{}\[\]]')
_STRING_ENDS = re.compile(r'["\\]')
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_CONTROL = {code: f"\\u{code:04x}" for code in range(32)}
_CLOSES = {"}": "{", "]": "["}
_SPACE = re.compile(r"\s*")


class Broken(Exception):
    """It is no tool call."""


class Extent:
    """Finds the end of a JSON object or array in a text that grows, reading every character once."""

    __slots__ = ("_at", "_open", "_quoted")

    def __init__(self) -> None:
        self._at = -1
        self._open: list[str] = []
        self._quoted = False

    def end(self, text: str, start: int) -> int:
        """The index after the value that begins at `start`; -1 when the text ends before. Raises `Broken`."""
        self._at = max(self._at, start)
        while self._at < len(text):
            found = (_STRING_ENDS if self._quoted else _WHAT_COUNTS).search(text, self._at)
            if found is None:
                self._at = len(text)
            elif found[0] == "\\":
                if found.end() == len(text):
                    self._at = found.start()
                    return -1
                self._at = found.end() + 1
            else:
                self._at = found.end()
                self._read(found[0])
                if not self._open:
                    return self._at
        return -1

    def _read(self, character: str) -> None:
        if character == '"':
            self._quoted = not self._quoted
        elif character in "{[":
            self._open.append(character)
        elif self._open.pop() != _CLOSES[character]:
            raise Broken


class _Written(msgspec.Struct):
    name: str
    arguments: msgspec.Raw = msgspec.Raw()
    parameters: msgspec.Raw = msgspec.Raw()


def after_space(text: str, start: int) -> int:
    """Where white space at `start` ends."""
    found = _SPACE.match(text, start)
    return found.end() if found else start


def begins_call(text: str, names: Collection[str]) -> bool:
    """Whether a JSON object that is not whole begins as a call of one of these tools does: with its name."""
    written = "".join(text.split())
    heads = (f'{{"name":"{name}"' for name in names)
    return any(written.startswith(head) or head.startswith(written) for head in heads)


def read_call(text: str, names: Collection[str]) -> Called:
    """The call of one of these tools that a JSON object is. Raises `Broken` when it is none."""
    try:
        written = msgspec.json.decode(_tidy(text), type=_Written)
        return _called(written, names)
    except (ValueError, RecursionError) as error:
        raise Broken from error


def read_calls(text: str, names: Collection[str]) -> list[Called]:
    """The calls that a JSON array holds, at least one. Raises `Broken` when one of them is none."""
    try:
        written = msgspec.json.decode(_tidy(text), type=list[_Written])
        calls = [_called(each, names) for each in written]
    except (ValueError, RecursionError) as error:
        raise Broken from error
    if not calls:
        raise Broken
    return calls


def arguments_of(raw: bytes) -> str:
    """The arguments of a call: a JSON object as it was written, also when it was written inside a JSON string. Raises
    `ValueError` when it is none."""
    value = msgspec.json.decode(raw)
    if isinstance(value, str):
        raw = _tidy(value).encode()
        value = msgspec.json.decode(raw)
    if not isinstance(value, dict):
        raise ValueError("arguments are a JSON object")
    return raw.decode()


def _called(written: _Written, names: Collection[str]) -> Called:
    raw = bytes(written.arguments) or bytes(written.parameters)
    if written.name not in names:
        raise Broken
    return Called(written.name, arguments_of(raw) if raw else "{}")


def _tidy(text: str) -> str:
    """Line breaks and tabs inside strings as JSON writes them: models often write them as they are."""
    return _STRING.sub(lambda found: found[0].translate(_CONTROL), text)
