"""Penstock: one server for every model, from the notebook to production.

import penstock

server = penstock.serve(model, example=X[:1])      # in a notebook: a URL, at once
penstock.save(model, "iris", example=X[:1])        # a folder, for `penstock serve iris`
penstock.Client(server.url).predict(X[:5])         # ask any Penstock server
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock.client import Client
    from penstock.config.schema import Config
    from penstock.core.errors import (
        BadInput,
        ConfigError,
        DeadlineExceeded,
        MissingExtra,
        ModelFileError,
        PenstockError,
        SetupError,
        Unavailable,
        UnknownModel,
        UntrustedFile,
    )
    from penstock.notebook.save import save
    from penstock.notebook.serve import Server, serve
    from penstock.runtimes.model import Model

    __version__: str

_HOMES = {
    "BadInput": "penstock.core.errors",
    "Client": "penstock.client",
    "Config": "penstock.config.schema",
    "ConfigError": "penstock.core.errors",
    "DeadlineExceeded": "penstock.core.errors",
    "MissingExtra": "penstock.core.errors",
    "Model": "penstock.runtimes.model",
    "ModelFileError": "penstock.core.errors",
    "PenstockError": "penstock.core.errors",
    "Server": "penstock.notebook.serve",
    "SetupError": "penstock.core.errors",
    "Unavailable": "penstock.core.errors",
    "UnknownModel": "penstock.core.errors",
    "UntrustedFile": "penstock.core.errors",
    "save": "penstock.notebook.save",
    "serve": "penstock.notebook.serve",
}

__all__ = [
    "BadInput",
    "Client",
    "Config",
    "ConfigError",
    "DeadlineExceeded",
    "MissingExtra",
    "Model",
    "ModelFileError",
    "PenstockError",
    "Server",
    "SetupError",
    "Unavailable",
    "UnknownModel",
    "UntrustedFile",
    "__version__",
    "save",
    "serve",
]


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first used, so that importing the package costs nothing."""
    if name == "__version__":
        from importlib.metadata import version

        return version("penstock")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'penstock' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
