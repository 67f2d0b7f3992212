"""Providers by name: who speaks what."""

from __future__ import annotations

import importlib
from typing import NamedTuple, cast

from penstock.core.errors import ConfigError
from penstock.core.nearest import closest
from penstock.runtimes.remote.contract import Dialect, RemoteModel, Signer

REMOTE = "remote"
"""The runtime of a provider's models, as a `ModelSpec` names it."""


class Entry(NamedTuple):
    """Where a dialect lives."""

    module: str
    dialect: str


_ROOM = "penstock.runtimes.remote"
PROVIDERS: dict[str, Entry] = {
    "openai": Entry(f"{_ROOM}.openai", "OpenAI"),
    "azure": Entry(f"{_ROOM}.azure", "Azure"),
    "anthropic": Entry(f"{_ROOM}.anthropic", "Anthropic"),
    "gemini": Entry(f"{_ROOM}.gemini", "Gemini"),
    "cohere": Entry(f"{_ROOM}.cohere", "Cohere"),
    "bedrock": Entry(f"{_ROOM}.bedrock", "Bedrock"),
    "mistral": Entry(f"{_ROOM}.mistral", "Mistral"),
    "compatible": Entry(f"{_ROOM}.openai", "Compatible"),
}
"""compatible: anybody else who speaks OpenAI's API, at a URL."""
SIGNED = ("bedrock",)
"""Whose calls may be signed instead of carrying a key."""


def dialect(provider: str) -> Dialect:
    """The dialect of a provider. Raises `ConfigError` naming the nearest one."""
    entry = PROVIDERS.get(provider)
    if entry is None:
        near = closest(provider, PROVIDERS)
        hint = f"did you mean {near!r}?" if near else f"known are: {', '.join(PROVIDERS)}"
        raise ConfigError(f"there is no provider {provider[:64]!r}; {hint}")
    return cast(Dialect, getattr(importlib.import_module(entry.module), entry.dialect)())


def signer(sign: str, model: RemoteModel) -> Signer:
    """What signs the calls of a model. Raises `MissingExtra` without its library."""
    if sign != "aws":
        raise ValueError(f"no calls are signed with {sign!r}")
    from penstock.runtimes.remote.bedrock_signing import AwsSigner

    return AwsSigner(model)
