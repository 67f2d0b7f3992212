"""Who may answer under a route's name, as one digest: it changes when any of their answers could.

The policy chooses after the cache was looked into, so a kept answer stands for the route as it is: its name, its
settings, and every model that it may ask, in the version that is served, by the digest of its source and its options.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from penstock.core.errors import UnknownModel
from penstock.core.model import Models, ModelSpec, versioned
from penstock.routing.failure.chain import SPECIAL
from penstock.routing.settings import RouteSettings

FORMAT = 1
"""Changes with the form of keys and of what is kept."""
_IRRELEVANT = ("cache", "shadow", "timeout_ms", "patience_ms", "hedge_ms")
"""Settings of a route that do not change what its models say."""
_PROCESS = os.urandom(16)


class Identity:
    """The digest of one route. Asked for with every request, so it is made anew only when a version has changed."""

    def __init__(self, name: str, settings: RouteSettings, models: Models):
        self._models = models
        self._head = msgspec.msgpack.encode((FORMAT, _release(), name, _settings(settings)))
        self._targets = tuple(target for target in dict.fromkeys(_targets(settings)) if target not in SPECIAL)
        self._specs: list[ModelSpec | None] = []
        self._digest = b""

    def digest(self) -> bytes:
        """32 bytes."""
        specs = [self._spec(target) for target in self._targets]
        if not self._digest or any(new is not old for new, old in zip(specs, self._specs, strict=True)):
            parts = [(target, _named(spec)) for target, spec in zip(self._targets, specs, strict=True)]
            self._digest = hashlib.sha256(self._head + msgspec.msgpack.encode(parts)).digest()
            self._specs = specs
        return self._digest

    def _spec(self, target: str) -> ModelSpec | None:
        try:
            return self._models.find(*versioned(target)).spec
        except UnknownModel:
            return None


@cache
def _release() -> str:
    return importlib.metadata.version("penstock")


def _settings(settings: RouteSettings) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(settings)
    return {name: value for name, value in sorted(fields.items()) if name not in _IRRELEVANT}


def _targets(settings: RouteSettings) -> Iterator[str]:
    yield from settings.models
    yield from settings.fallback
    if settings.ladder is not None:
        yield from settings.ladder.steps
    if settings.cache is not None and settings.cache.similarity is not None:
        yield settings.cache.embedder


def _named(spec: ModelSpec | None) -> Any:
    """What tells a version's answers from those of all others."""
    if spec is None:
        return None
    facts = spec.runtime, spec.format, spec.version, spec.device, spec.output, spec.precision, spec.batched
    return spec.name, facts, spec.classes, spec.options, spec.signature, _source(spec)


def _source(spec: ModelSpec) -> Any:
    """Its content, by digest; else its files, by size and time; what has neither is known to this process alone."""
    if spec.sha256:
        return spec.sha256
    if spec.runtime == "remote":
        return spec.path
    own = _stamps(spec.path)
    beside = [stamp for path in _beside(spec.options) for stamp in _stamps(path)]
    return (spec.path, own, beside) if own else (spec.path, _PROCESS)


def _beside(options: dict[str, Any]) -> Iterator[str]:
    """Files that a model's options name, as a tokenizer's or an adapter's; folders hold more than the model's own."""
    for text in _texts(options):
        if not text.startswith("/") or not Path(text).is_dir():
            yield text


def _texts(value: Any) -> Iterator[str]:
    """Every text in plain data."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)


def _stamps(path: str) -> list[tuple[str, int, int]]:
    """Name, size and time of a file, or of the files in a folder."""
    file = Path(path.partition(":")[0]) if path else None
    if file is None or not file.is_absolute():
        return []
    try:
        files = sorted(file.iterdir()) if file.is_dir() else [file]
        stats = [(each.name, each.stat()) for each in files if each.is_file()]
    except (OSError, ValueError):
        return []
    return [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]
