"""The settings of a conversation that are numbers: by which name a person says them, and what they may be."""

from __future__ import annotations

import math
import re
from typing import Any, NamedTuple

import msgspec

from penstock.core.errors import ConfigError


class Setting(NamedTuple):
    """`option`: the server's name. `kind`: int or float. `least`, `most`: what is allowed. `words`: the same, told."""

    option: str
    kind: type
    least: float
    most: float
    words: str


SETTINGS = {
    "temperature": Setting("temperature", float, 0, 2, "a number from 0 to 2"),
    "top_p": Setting("top_p", float, 0, 1, "a number from 0 to 1"),
    "top_k": Setting("top_k", int, 0, 1_000_000, "a whole number from 0 to 1000000"),
    "seed": Setting("seed", int, -(2**63), 2**63 - 1, "a whole number of 64 bits"),
    "max_tokens": Setting("num_predict", int, 1, 1_000_000, "a whole number from 1 to 1000000"),
}

_TOKENS = re.compile(r"\b(num_predict|max_tokens)\b")


def checked(name: str, value: Any, said: str | None = None) -> Any:
    """The value, as the server takes it. `said`: the name as the person typed it. Raises `ConfigError`."""
    setting = SETTINGS[name]
    try:
        number: float = msgspec.convert(value, setting.kind, strict=False)
    except msgspec.ValidationError:
        number = math.nan
    if not setting.least <= number <= setting.most:
        raise ConfigError(f"{said or name} must be {setting.words}, got {value!r:.40}")
    return number


def from_flags(given: dict[str, Any]) -> dict[str, Any]:
    """The server's options of what was given on the command line; None: not given. Raises `ConfigError`."""
    return {
        SETTINGS[name].option: checked(name, value, flag(name)) for name, value in given.items() if value is not None
    }


def flag(name: str) -> str:
    """A setting's flag."""
    return "--" + name.replace("_", "-")


def in_own_words(message: str, *, flags: bool) -> str:
    """A server's message, with the limit of tokens under the name that the person typed."""
    return _TOKENS.sub(flag("max_tokens") if flags else "max_tokens", message)
