"""Names of providers' models: openai:gpt-5-mini, or http://host:8000/v1#model for anybody who speaks OpenAI's API."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from penstock.core.errors import ModelFileError
from penstock.core.nearest import closest

REMOTE = "remote"
"""The runtime and the format of a provider's model."""
PROVIDERS = ("openai", "azure", "anthropic", "gemini", "cohere", "bedrock", "mistral")
_NAMED = re.compile(rf"({'|'.join(PROVIDERS)}):(?!//)(.*)", re.DOTALL)
_URL = re.compile(r"https?://[^#]*#", re.IGNORECASE)
_MODEL = re.compile(r"[\x21-\x7e]{1,512}").fullmatch


class RemoteName(NamedTuple):
    """`provider`: "compatible" for anybody who speaks OpenAI's API at `url`."""

    provider: str
    model: str
    url: str = ""


def is_remote(source: str) -> bool:
    """Whether a source is a provider's model."""
    return _NAMED.fullmatch(source) is not None or _URL.match(source) is not None


def provider_hint(source: str) -> str:
    """For a source that names a provider that there is not: the one that was meant."""
    name, sign, model = source.partition(":")
    near = closest(name.lower(), PROVIDERS, 0.7) if sign and model else ""
    return f"; did you mean {near}:{model}?" if near else ""


def parse(source: str) -> RemoteName:
    """A provider's model. Raises `ModelFileError` that says how one is written."""
    named = _NAMED.fullmatch(source)
    if named is not None:
        provider, model = named.groups()
        return RemoteName(provider, _checked(model, f"{provider}:MODEL, such as openai:gpt-5-mini"))
    url, _, model = source.partition("#")
    _check_url(url)
    return RemoteName("compatible", _checked(model, "http://host:8000/v1#MODEL"), url)


def known(name: RemoteName, options: Mapping[str, Any]) -> dict[str, Any]:
    """What a provider's model is described by."""
    own = {"provider": name.provider, "model": name.model} | ({"url": name.url} if name.url else {})
    return {
        "runtime": REMOTE,
        "path": f"{name.provider}:{name.model}",
        "format": REMOTE,
        "platform": "penstock_remote",
        "options": {**options, **own},
    }


def _checked(model: str, how: str) -> str:
    if _MODEL(model) is None:
        raise ModelFileError(f"the source names no model of a provider; write {how}")
    return model


def _check_url(url: str) -> None:
    """Raises `ModelFileError`, which never repeats a password."""
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname
    except ValueError:
        port, host = None, None
    if not host or port == 0:
        raise ModelFileError("the source is no address; write http://host:8000/v1#MODEL")
    if parts.username is not None or parts.password is not None:
        raise ModelFileError("a source holds no password; say where the key is: options: {key: env:NAME}")
    if parts.query:
        raise ModelFileError("a source's address has no query; more fields go to options: {extra: {...}}")
