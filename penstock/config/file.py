"""`Config` from a YAML file, the environment over it, and flags over both."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penstock.config import environment, lines
from penstock.config.check import checked
from penstock.config.document import Document, Origin, Problem, refusal
from penstock.config.schema import Config

_FLAGS = Origin("command line")
_NONE: Mapping[str, Any] = {}


def load(
    path: str | Path,
    of_server: Mapping[str, Any] = _NONE,
    of_models: Mapping[str, Any] = _NONE,
    environ: Mapping[str, str] | None = None,
) -> Config:
    """The configuration of a YAML file. Raises `ConfigError` with file, line, path and the nearest valid key.

    `of_server`: overrides by dotted path ("http.port"); `of_models`: overrides for every model
    ("batching.max_size"). Relative sources stay as written: they start at the file's folder.
    """
    return _config(lines.read(Path(path)), of_server, of_models, environ)


def with_overrides(
    data: Mapping[str, Any],
    of_server: Mapping[str, Any] = _NONE,
    of_models: Mapping[str, Any] = _NONE,
    environ: Mapping[str, str] | None = None,
) -> Config:
    """The configuration of plain data, with the environment and overrides over it as for a file."""
    return _config(Document(_copied(dict(data)), {}, _FLAGS.name), of_server, of_models, environ)


def examine(path: str | Path, environ: Mapping[str, str] | None = None) -> tuple[Config | None, list[Problem]]:
    """A file's configuration, or None and all its problems. Raises `ConfigError` when it is no YAML."""
    document = lines.read(Path(path))
    environment.apply(document, os.environ if environ is None else environ)
    return checked(document)


def _config(
    document: Document,
    of_server: Mapping[str, Any],
    of_models: Mapping[str, Any],
    environ: Mapping[str, str] | None,
) -> Config:
    environment.apply(document, os.environ if environ is None else environ)
    for path, value in of_server.items():
        document.set(tuple(path.split(".")), value, _FLAGS)
    models = document.data.get("models")
    for name in models if isinstance(models, dict) else ():
        for path, value in of_models.items():
            document.set(("models", str(name), *path.split(".")), value, _FLAGS)
    config, problems = checked(document)
    if config is None:
        raise refusal(problems)
    return config


def _copied(value: Any) -> Any:
    """The same mappings, anew: overrides are put into them."""
    return {key: _copied(below) for key, below in value.items()} if isinstance(value, Mapping) else value
