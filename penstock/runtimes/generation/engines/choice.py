"""Engines by name. Their modules are imported when one is created, and not before."""

from __future__ import annotations

import importlib
from typing import cast

from penstock.core.errors import ConfigError
from penstock.runtimes.generation.contract import Capabilities, TokenEngine

ENGINES = {
    "openvino": ("openvino", "OpenvinoEngine"),
    "llamacpp": ("llamacpp", "LlamaCppEngine"),
    "vllm": ("vllm", "VllmEngine"),
    "transformers": ("transformers", "TransformersEngine"),
}
_MUCH = Capabilities(top_logprobs=20, logit_bias=True, min_p=True, grammar=True)
OFFERS = {
    "openvino": Capabilities(min_p=True, grammar=True, adapters=True),
    "llamacpp": _MUCH._replace(adapters=True),
    "vllm": _MUCH._replace(adapters=True),
    "transformers": _MUCH,
}
"""What engines can do at their best, told without importing one: for what a refusal advises."""


def create(name: str) -> TokenEngine:
    """A new engine, not loaded. Raises `ConfigError` for a name that none has."""
    if name not in ENGINES:
        raise ConfigError(f"engine: {name} is none of {', '.join(ENGINES)}")
    module, kind = ENGINES[name]
    made = getattr(importlib.import_module(f"penstock.runtimes.generation.engines.{module}"), kind)
    return cast(TokenEngine, made())
