"""Signatures from a function's type hints.

    list[str], list[bytes]           BYTES [-1]        list[float]          FP64 [-1]
    list[int]                        INT64 [-1]        list[bool]           BOOL [-1]
    list[list[float]] (and deeper)   FP64 [-1, -1]     anything else        not known: give an example

One parameter is one input, named as the parameter. A return hint is read the same way.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Sequence
from typing import Any

from penstock.core.errors import ModelFileError
from penstock.core.signature import TensorSpec

_SCALARS: dict[Any, str] = {str: "BYTES", bytes: "BYTES", float: "FP64", int: "INT64", bool: "BOOL"}


def parameters(function: Callable[..., Any]) -> dict[str, Any]:
    """Parameter name → hint (None without), those that a batch can fill. Raises `ModelFileError` for async."""
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise ModelFileError(
            "the function is async; models run in workers of their own, one batch at a time: write a plain def"
        )
    try:
        found = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return {}
    hints = hints_of(function)
    usable = [p for p in found if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    return {p.name: hints.get(p.name) for p in usable if p.default is p.empty} or {
        p.name: hints.get(p.name) for p in usable[:1]
    }


def hints_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Resolved hints; none when they name what cannot be found."""
    target = function if inspect.isroutine(function) else type(function).__call__
    try:
        return typing.get_type_hints(target)
    except Exception:
        return {}


def tensor(name: str, hint: Any) -> TensorSpec | None:
    """The tensor that a hint describes, or None."""
    depth = 0
    while typing.get_origin(hint) in (list, Sequence):
        [hint] = typing.get_args(hint)
        depth += 1
    datatype = _SCALARS.get(hint)
    return TensorSpec(name, datatype, (-1,) * depth) if datatype and depth else None


def wants_bytes(hint: Any) -> bool:
    """Whether text should stay `bytes`."""
    return bool(hint == list[bytes])


def wants_list(hint: Any) -> bool:
    """Whether the function asks for lists rather than arrays."""
    return typing.get_origin(hint) in (list, Sequence) or hint is list


def wants_frame(hint: Any) -> bool:
    """Whether the function asks for a pandas DataFrame."""
    return getattr(hint, "__name__", "") == "DataFrame"
