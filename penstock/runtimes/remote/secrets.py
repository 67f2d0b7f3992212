"""API keys of providers: where they are, and that they stay there."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from penstock.core.errors import ConfigError

ENV, FILE = "env:", "file:"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*").fullmatch
_USABLE = re.compile(r"[\x21-\x7e]+").fullmatch
LONGEST_FILE = 65_536
SECRET_LENGTH = 8
"""Characters of the shortest secret. What is shorter is none, and messages without it could not be read."""
HIDDEN = "[hidden]"


class Secret:
    """A key. Its text is never shown; `place`: where it is, in words."""

    __slots__ = ("_given", "_text", "place")

    def __init__(self, given: str, text: str, place: str):
        self._given = given
        self._text = text
        self.place = place

    def __repr__(self) -> str:
        return f"Secret({self.place})"

    def reveal(self) -> str:
        """The key itself, for the header that carries it."""
        return self._text

    def renew(self) -> bool:
        """Reads it again where it stands; whether it has changed. Keys in files are replaced while servers run."""
        try:
            text = found(self._given).reveal()
        except ConfigError:
            return False
        changed, self._text = text != self._text, text
        return changed


class Hidden:
    """Texts that are in no message, whoever repeats them."""

    def __init__(self) -> None:
        self._texts: list[str] = []

    def add(self, text: str) -> None:
        """One more; those before it may still be repeated."""
        if len(text) >= SECRET_LENGTH and text not in self._texts:
            self._texts = sorted((*self._texts, text), key=len, reverse=True)

    def add_header(self, value: str) -> None:
        """A header's value, and each of its words, as in "Bearer KEY"."""
        for text in (value, *value.split()):
            self.add(text)

    def out_of(self, words: str) -> str:
        """The words without them; also without the beginning of one, where the words were cut."""
        for text in self._texts:
            words = words.replace(text, HIDDEN)
        cut = words.removesuffix("...")
        for text in self._texts if cut != words else ():
            for length in range(len(text) - 1, SECRET_LENGTH - 1, -1):
                if cut.endswith(text[:length]):
                    return f"{cut[:-length]}{HIDDEN}..."
        return words


def found(given: str) -> Secret:
    """The key that "env:NAME", "file:PATH" or "file:PATH#NAME" (a line NAME=key) leads to. Raises `ConfigError` that
    never repeats what stands there."""
    if given.startswith(ENV):
        name = given.removeprefix(ENV)
        return Secret(given, _checked(_variable(name), f"the environment variable {name}"), f"${name}")
    if given.startswith(FILE):
        return Secret(given, _checked(_read(given.removeprefix(FILE)), "the key's file"), "a file")
    raise ConfigError(
        'key takes "env:NAME" or "file:PATH", where the key is, and never the key itself; if this was one, replace it: '
        "a key in a settings file is soon in a repository"
    )


def usual(variables: Sequence[str]) -> Secret | None:
    """The key in the first of these environment variables that is set."""
    name = next((name for name in variables if os.environ.get(name)), None)
    return None if name is None else found(f"{ENV}{name}")


def resolved(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers whose values may be "env:NAME". Raises `ConfigError` for a variable that is not set, and for what no
    header may hold."""
    values = {name: found(value).reveal() if value.startswith(ENV) else value for name, value in headers.items()}
    for name, value in values.items():
        if not re.fullmatch(r"[A-Za-z0-9-]+", name) or re.search(r"[\x00-\x1f\x7f]", value):
            raise ConfigError(f"headers: {name[:64]!r} cannot be sent; names are letters, digits and dashes")
    return {name.lower(): value for name, value in values.items()}


def _variable(name: str) -> str:
    if _NAME(name) is None:
        raise ConfigError('key takes "env:NAME", and what stands there is no name of an environment variable')
    text = os.environ.get(name, "")
    if not text.strip():
        raise ConfigError(f"the environment variable {name} is not set, and the key is to be there")
    return text


def _read(place: str) -> str:
    """A file that is the key, or a line NAME=key of one, as .env files have them."""
    path, _, name = place.partition("#")
    try:
        with Path(path).expanduser().open(encoding="utf-8") as file:
            text = file.read(LONGEST_FILE)
    except (OSError, UnicodeDecodeError) as error:
        why = type(error).__name__ if isinstance(error, UnicodeDecodeError) else error.strerror
        raise ConfigError(f"the file {path[:200]} with the key cannot be read: {why}") from None
    return _line(text, name, path) if name else text


def _line(text: str, name: str, path: str) -> str:
    for line in text.splitlines():
        left, equals, value = line.removeprefix("export ").partition("=")
        if equals and left.strip() == name:
            return value.strip().strip("\"'")
    raise ConfigError(f"the file {path[:200]} has no line {name}=...")


def _checked(text: str, where: str) -> str:
    text = text.strip()
    if _USABLE(text) is None:
        raise ConfigError(f"{where} holds no key: one is a single line of letters, digits and signs")
    return text
