"""What a setting takes: in words, and whether a value is that."""

from __future__ import annotations

import math
import types
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

from penstock.config.document import nearest

_WORDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


def convert(value: Any, hint: Any) -> Any:
    """The value as its setting's type. Raises `ValueError` with a sentence about what would be right."""
    try:
        found = msgspec.convert(value, hint, strict=True)
    except msgspec.ValidationError as error:
        raise ValueError(complaint(value, hint)) from error
    if isinstance(found, float) and not math.isfinite(found):
        raise ValueError(f"{complaint(value, hint)}; it must be finite")
    return found


def complaint(value: Any, hint: Any) -> str:
    """What is wrong with a value that its setting does not take."""
    choices = allowed(hint)
    if choices and isinstance(value, str):
        hint_text = nearest(value, choices)
        every = f"must be {_either([*choices])}, not {value!r}"
        return f"{every}; {hint_text}" if hint_text.startswith("did") else every
    if isinstance(value, list) and (inner := item_of(hint)) is not None:
        return wrong_item(value, inner)
    advice = ""
    if takes_text(hint) and not isinstance(value, (str, list, dict)) and value is not None:
        advice = "; put it in quotes"
    return f"must be {words(hint)}, not {shown(value)}{advice}"


def wrong_item(values: list[Any], hint: Any) -> str:
    """What is wrong with the first wrong item of a list."""
    for index, value in enumerate(values):
        try:
            convert(value, hint)
        except ValueError as error:
            return f"item {index + 1} {error}"
    return f"must be a list of {_plural(words(hint))}"


def item_of(hint: Any) -> Any:
    """The type of a list's items; None when the setting takes no list."""
    if get_origin(hint) in (tuple, list):
        return get_args(hint)[0]
    if get_origin(hint) in (Union, types.UnionType):
        return next((item for part in get_args(hint) if (item := item_of(part)) is not None), None)
    return None


def words(hint: Any) -> str:
    """A type in words."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return words(arguments[0]) + _limits(arguments[1:])
    if origin in (Union, types.UnionType):
        return _either([words(part) for part in arguments if part is not type(None)])
    if origin is Literal:
        return _either([str(choice) for choice in arguments])
    if origin in (tuple, list):
        inner = words(arguments[0]) if arguments and arguments[0] is not Any else ""
        return f"a list of {_plural(inner)}" if inner else "a list"
    if origin is dict:
        return "a mapping of keys to values"
    return _WORDS.get(hint, "a mapping of settings")


def allowed(hint: Any) -> tuple[str, ...]:
    """The words that a setting chooses from; empty when it takes anything else too."""
    if get_origin(hint) is Literal:
        return tuple(str(choice) for choice in get_args(hint))
    if get_origin(hint) in (Union, types.UnionType):
        parts = [part for part in get_args(hint) if part is not type(None)]
        return allowed(parts[0]) if len(parts) == 1 else ()
    return ()


def takes_text(hint: Any) -> bool:
    """Whether text is among what the setting takes."""
    if get_origin(hint) in (Union, types.UnionType, Annotated):
        return any(takes_text(part) for part in get_args(hint))
    return hint is str


def shown(value: Any) -> str:
    """A value as a message names it."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"the text {value[:60]!r}"
    if isinstance(value, (int, float)):
        return f"the number {value}"
    return "a list" if isinstance(value, list) else "a mapping" if isinstance(value, dict) else f"{value}"[:60]


def _limits(meta: Sequence[Any]) -> str:
    """Such as " (at least 0, at most 65535)"."""
    names = {"ge": "at least", "gt": "over", "le": "at most", "lt": "under"}
    bounds = [(word, getattr(one, name)) for one in meta for name, word in names.items()]
    parts = [f"{word} {limit}" for word, limit in bounds if limit is not None]
    return f" ({', '.join(parts)})" if parts else ""


def _either(choices: list[str]) -> str:
    return choices[0] if len(choices) == 1 else f"{', '.join(choices[:-1])} or {choices[-1]}"


def _plural(word: str) -> str:
    return {"a whole number": "whole numbers", "a number": "numbers", "text": "texts"}.get(word, word)
