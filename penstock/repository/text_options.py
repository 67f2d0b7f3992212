"""What a person says about a text model, over what its files say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from penstock.core.errors import ConfigError
from penstock.core.nearest import closest
from penstock.core.text import TextModel

# Facts about the files, which nobody can choose.
_FACTS = ("architecture", "tokenizer", "vocab_size", "padding")
OPTIONS = tuple(name for name in TextModel.__struct_fields__ if name not in _FACTS)
FILE = "file"
"""One more option, for folders with several model files: which one to serve."""


def overridden(found: Mapping[str, Any], given: Mapping[str, Any], longest: int | None = None) -> TextModel:
    """A text model as its files describe it, with the person's options over it.

    `longest`: tokens that the network can read at most, where that is known. Raises `ConfigError` naming the option.
    """
    for name in given:
        if name not in OPTIONS:
            near = closest(name, (*OPTIONS, FILE))
            hint = f"did you mean {near!r}?" if near else f"text models take: {', '.join((*OPTIONS, FILE))}"
            raise ConfigError(f"text models have no option {name!r}; {hint}")
    try:
        model = msgspec.convert({**found, **given}, TextModel)
    except msgspec.ValidationError as error:
        raise ConfigError(f"an option of a text model is wrong: {error}") from error
    _check(model, len(found.get("labels", ())), longest)
    return model


def _check(model: TextModel, classes: int, longest: int | None) -> None:
    """Raises `ConfigError` for options that the model's files contradict."""
    if model.max_length < 1:
        raise ConfigError(f"max_length takes a number of tokens, not {model.max_length}")
    if longest is not None and model.max_length > longest:
        raise ConfigError(f"max_length is {model.max_length}, and this model reads at most {longest} tokens")
    if len(model.labels) != classes:
        raise ConfigError(f"labels names {len(model.labels)} classes, and the model has {classes}")
    if model.dynamic_quantization < 0:
        raise ConfigError(f"dynamic_quantization takes a group size, not {model.dynamic_quantization}")
