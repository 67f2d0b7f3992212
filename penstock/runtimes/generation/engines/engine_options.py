"""Settings passed on to an engine by its own names, read strictly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from penstock.core.errors import ConfigError
from penstock.core.nearest import closest

Options = TypeVar("Options", bound=msgspec.Struct)


def read(kind: type[Options], given: Mapping[str, Any], engine: str) -> Options:
    """The settings as the engine's struct. Raises `ConfigError` for an unknown name, with the nearest one, and for a
    value of the wrong type or out of bounds."""
    known = kind.__struct_encode_fields__
    for name in given:
        if name not in known:
            raise ConfigError(f"engine_options: {engine} has no setting {name!r}; {_nearest(name, known)}")
    try:
        return msgspec.convert(dict(given), kind, strict=True)
    except msgspec.ValidationError as error:
        raise ConfigError(f"engine_options: {error}") from None


def _nearest(name: str, known: tuple[str, ...]) -> str:
    near = closest(name, known)
    return f"did you mean {near!r}?" if near else f"it has: {', '.join(sorted(known))}"
