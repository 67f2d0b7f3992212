"""The settings of a conversation that are numbers: by which name a person says them, and what they may be."""

from __future__ import annotations

import re
from typing import Annotated, Any, NamedTuple

import msgspec

from penstock.core.errors import ConfigError
from penstock.core.ranges import MAX_TOKENS, MaxTokens, Seed, Share, Temperature


class Setting(NamedTuple):
    """`option`: the server's name. `kind`: its type, with its bounds. `words`: the same, told."""

    option: str
    kind: Any
    words: str


SETTINGS = {
    "temperature": Setting("temperature", Temperature, "a number from 0 to 2"),
    "top_p": Setting("top_p", Share, "a number from 0 to 1"),
    "top_k": Setting("top_k", Annotated[int, msgspec.Meta(ge=0, le=MAX_TOKENS)], "a whole number from 0 to 1000000"),
    "seed": Setting("seed", Seed, "a whole number of 64 bits"),
    "max_tokens": Setting("num_predict", MaxTokens, "a whole number from 1 to 1000000"),
}

_TOKENS = re.compile(r"\b(num_predict|max_tokens)\b")


def checked(name: str, value: Any, said: str | None = None) -> Any:
    """The value, as the server takes it. `said`: the name as the person typed it. Raises `ConfigError`."""
    setting = SETTINGS[name]
    try:
        return msgspec.convert(value, setting.kind, strict=False)
    except msgspec.ValidationError:
        raise ConfigError(f"{said or name} must be {setting.words}, got {value!r:.40}") from None


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
