"""What a person says about a language model, over what its files say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from penstock.core.errors import ConfigError, ModelFileError
from penstock.core.language import LanguageModel, wrong_default
from penstock.core.nearest import closest

OPTIONS = (
    "engine", "context", "sequences", "kv_precision", "prefix_cache", "chunk", "speculative", "draft_tokens",
    "adapters", "engine_options", "tool_format", "reasoning", "chat_template", "defaults",
    "memory_check",
)  # fmt: skip
"""What a person may choose; the rest are facts about the files."""
_RANGES = {"context": (0, 2**31), "sequences": (1, 4_096), "chunk": (16, 65_536), "draft_tokens": (1, 64)}


def overridden(found: LanguageModel, given: Mapping[str, Any]) -> LanguageModel:
    """A language model as its files describe it, with the person's options over it.

    Raises `ConfigError` that names the option, `ModelFileError` for sampling settings of the files that cannot be.
    """
    for name in given:
        if name not in OPTIONS:
            raise ConfigError(f"language models have no option {name!r}; {_hint(name)}")
    facts = {name: getattr(found, name) for name in found.__struct_fields__}
    try:
        model = msgspec.convert({**facts, **given}, LanguageModel)
    except msgspec.ValidationError as error:
        raise ConfigError(f"an option of a language model is wrong: {error}") from error
    _check(model)
    _check_defaults(model, "defaults" in given)
    return model


def _hint(name: str) -> str:
    if name in LanguageModel.__struct_fields__:
        return f"its files say that; it takes: {', '.join(OPTIONS)}"
    near = closest(name, OPTIONS)
    return f"did you mean {near!r}?" if near else f"it takes: {', '.join(OPTIONS)}"


def _check(model: LanguageModel) -> None:
    for name, (least, most) in _RANGES.items():
        value = getattr(model, name)
        if not least <= value <= most:
            raise ConfigError(f"{name} takes {least} to {most:,}, not {value}")
    if model.trained_context and model.context > model.trained_context:
        raise ConfigError(
            f"context is {model.context}, and this model was trained on {model.trained_context} tokens at most; say "
            "less, or leave it out"
        )


def _check_defaults(model: LanguageModel, given: bool) -> None:
    wrong = wrong_default(model.defaults)
    if wrong and given:
        raise ConfigError(f"an option of a language model is wrong: {wrong}")
    if wrong:
        raise ModelFileError(
            f"the model's files recommend a sampling setting that cannot be: {wrong}; correct it there, or say what "
            "holds instead: options: {defaults: {}}"
        )
