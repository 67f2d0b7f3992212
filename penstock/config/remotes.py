"""From a described model of a provider to what serves it: options in range, and a key that is there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from penstock.config.schema import ModelSettings
from penstock.core.errors import ConfigError
from penstock.core.model import ModelSpec
from penstock.core.nearest import closest
from penstock.runtimes.remote import choice, secrets
from penstock.runtimes.remote.contract import RemoteModel
from penstock.telemetry.logs import logger

log = logger("config")
RUNTIME = choice.REMOTE
OPTIONS = tuple(name for name in RemoteModel.__struct_fields__ if name not in ("provider", "model"))
"""What a person may say; the source says the rest."""
_RANGES: dict[str, tuple[float, float]] = {
    "context": (0, 2**31),
    "max_tokens": (1, 2**31),
    "dimensions": (0, 1_000_000),
    "connect_timeout_ms": (1, 600_000),
    "first_byte_timeout_ms": (1, 86_400_000),
    "idle_timeout_ms": (1, 86_400_000),
    "timeout_ms": (1, 86_400_000),
    "max_concurrency": (1, 100_000),
    "queue_size": (1, 1_000_000),
}
_OF_WORKERS = ("precision", "calibration", "batched", "output", "example", "runtime", "threads")
_NOT_HERE = ("device", "trust", "batching", "supervision")
_ELSEWHERE = ("timeout_ms", "queue_size")
"""Settings of models that run here, which options of the same name stand for."""
_CARRIERS = ("authorization", "api-key", "x-api-key", "x-goog-api-key", "proxy-authorization", "cookie")
"""Headers that carry secrets."""
_OURS = ("stream", "messages", "model", "input")
"""Fields of a call's body that nobody else may set."""
_LOCAL = ("127.0.0.1", "localhost", "::1")


def ready(spec: ModelSpec, settings: ModelSettings, base: Path) -> ModelSpec:
    """The spec with all settings. The provider is not asked. Raises `ConfigError` for settings that are none for such a
    model, and for a key that is missing, with the name of the variable where it belongs."""
    spec = _tasked(spec)
    _check_settings(spec, settings)
    model = _located(_converted(spec.options), base)
    _check_ranges(model)
    _check_headers(model)
    _check_extra(model)
    model = choice.dialect(model.provider).settle(model)
    _check_key(spec.name, model)
    return msgspec.structs.replace(spec, options=msgspec.to_builtins(model))


def _tasked(spec: ModelSpec) -> ModelSpec:
    """With the task, where nobody says it and a name such as text-embedding-3-small does."""
    options = spec.options
    if "task" in options or "embed" not in str(options.get("model", "")).lower():
        return spec
    return msgspec.structs.replace(spec, options={**options, "task": "embedding"})


def _converted(options: Mapping[str, Any]) -> RemoteModel:
    for name in options:
        if name not in RemoteModel.__struct_fields__:
            near = closest(name, OPTIONS)
            hint = f"did you mean {near!r}?" if near else f"they take: {', '.join(OPTIONS)}"
            raise ConfigError(f"models of providers have no option {name[:64]!r}; {hint}")
    key = options.get("key", "")
    if not isinstance(key, str) or (key and not key.startswith((secrets.ENV, secrets.FILE))):
        secrets.found("")
    try:
        return msgspec.convert(options, RemoteModel)
    except msgspec.ValidationError as error:
        raise ConfigError(f"an option of a provider's model is wrong: {error}") from error


def _check_settings(spec: ModelSpec, settings: ModelSettings) -> None:
    given = [name for name in _OF_WORKERS if getattr(settings, name) is not None]
    usual = ModelSettings(source=settings.source)
    given += [name for name in _NOT_HERE if getattr(settings, name) != getattr(usual, name)]
    if given:
        raise ConfigError(f"{given[0]} is for models that run here, and {spec.name} runs at a provider; take it out")
    for name in _ELSEWHERE:
        if getattr(settings, name) != getattr(usual, name):
            raise ConfigError(f"{name} of {spec.name} belongs to its options: {{{name}: ...}}")
    if settings.replicas != 1:
        raise ConfigError(
            f"replicas is for models that run here; for {spec.name} say options: {{max_concurrency: ...}}"
        )
    if settings.cache is not None and spec.options.get("task") != "embedding":
        raise ConfigError("cache is for answers to rows, and a language model has none; a route's cache keeps answers")


def _check_ranges(model: RemoteModel) -> None:
    for name, (least, most) in _RANGES.items():
        if not least <= getattr(model, name) <= most:
            raise ConfigError(f"{name} takes {least:,} to {most:,}, not {getattr(model, name)}")
    parts = urlsplit(model.url)
    if model.url and (parts.scheme not in ("http", "https") or not parts.hostname):
        raise ConfigError("url takes an address, such as https://gateway.example.com/v1")
    if parts.username is not None or parts.password is not None:
        raise ConfigError("url holds no password; say where the key is: key: env:NAME")


def _check_headers(model: RemoteModel) -> None:
    for name, value in model.headers.items():
        if name.lower() in _CARRIERS and not value.startswith(secrets.ENV):
            raise ConfigError(f"headers: {name[:64]} carries a secret; write {name[:64]}: env:NAME, or use key")
    secrets.resolved(model.headers)


def _check_extra(model: RemoteModel) -> None:
    for name in _OURS:
        if name in model.extra:
            hint = "; options: {stream: false} asks for whole answers" if name == "stream" else ""
            raise ConfigError(f"extra: {name} is set by every request itself; take it out{hint}")


def _check_key(name: str, model: RemoteModel) -> None:
    """Raises `ConfigError` where there is no key and the provider asks for one."""
    provider, dialect = model.provider, choice.dialect(model.provider)
    key = secrets.found(model.key) if model.key else secrets.usual(dialect.variables)
    if key is None and dialect.variables and provider not in choice.SIGNED:
        raise ConfigError(
            f"{name} needs a key for {provider}: set {' or '.join(dialect.variables)}, or say where it is: "
            "options: {key: env:NAME} or {key: file:PATH}"
        )
    parts = urlsplit(model.url)
    if key is not None and parts.scheme == "http" and parts.hostname not in _LOCAL:
        log.warning(
            "key_unencrypted", model=name, reason="the key travels over http; use https outside of this machine"
        )


def _located(model: RemoteModel, base: Path) -> RemoteModel:
    """With the path of a key's file from the folder where relative sources start."""
    if not model.key.startswith(secrets.FILE):
        return model
    path, hash, name = model.key.removeprefix(secrets.FILE).partition("#")
    place = (base / Path(path).expanduser()).absolute()
    return msgspec.structs.replace(model, key=f"{secrets.FILE}{place}{hash}{name}")
