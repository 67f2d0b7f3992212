"""Which server answers for a model: one that runs, or one of the command's own."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from penstock.cli.chat import own
from penstock.cli.chat.server import DEFAULT_URL, Absent, Server, Stranger, given_url
from penstock.core.errors import ConfigError, SetupError, UnknownModel
from penstock.core.nearest import closest

LATEST = ":latest"


@contextlib.contextmanager
def reach(model: str, url: str | None) -> Iterator[tuple[Server, str]]:
    """A server that answers for the model, and the model's name there.

    A server that runs is asked first: the one at `url`, at $PENSTOCK_URL, or on this machine. Where it does not serve
    the model, a pulled model, a file or a source on the hub gets a server of its own, which ends with the block.
    Raises `SetupError` saying what would work, and the errors of the server.
    """
    if not model.strip():
        raise ConfigError("name a model; penstock ls lists those that were pulled, penstock ps those that are served")
    named = given_url(url)
    server = Server(named or DEFAULT_URL)
    there = is_there(server, named)
    if there and (name := served(server, model)) is not None:
        yield server, name
        return
    source = source_of(model)
    if source is None:
        raise SetupError(_nowhere(model, server if there else None))
    source, name = on_disk(source)
    with Waiting(name) as waiting, own.serving(source, name, waiting.tick) as at:
        waiting.done()
        yield Server(at), name


def is_there(server: Server, named: str | None) -> bool:
    """Whether the server answers. Raises why it does not when a person named it, or when it is there but slow."""
    try:
        server.models()
    except (Absent, Stranger):
        if named is not None:
            raise
        return False
    return True


def served(server: Server, model: str) -> str | None:
    """The name by which a server knows the model, loaded if need be; None when it does not serve it."""
    models: dict[str, dict[str, Any]] = {found["name"]: found for found in server.models()}
    plain = model.removesuffix(LATEST)
    base = next((name for name in (model, plain, plain.rpartition(":")[0]) if name in models), None)
    if base is None:
        return None if not _alias(server, plain) else plain
    if models[base]["state"] in ("UNLOADED", "LOADING"):
        server.load(base)
    return model if base != plain else plain


def _alias(server: Server, name: str) -> bool:
    from urllib.parse import quote

    if not name.strip("."):
        return False
    try:
        server.get(f"/models/{quote(name, '')}")
    except UnknownModel:
        return False
    return True


class Waiting:
    """A line on standard error while a model loads, if that is a terminal."""

    def __init__(self, name: str):
        self._status: Any = None
        self._name = name

    def __enter__(self) -> Waiting:
        return self

    def tick(self) -> None:
        """Still loading."""
        if self._status is None and sys.stderr.isatty():
            from rich.console import Console

            self._status = Console(stderr=True).status(f"loading {self._name}")
            self._status.start()

    def done(self) -> None:
        """Loaded."""
        if self._status is not None:
            self._status.stop()
            self._status = None

    def __exit__(self, *_: object) -> None:
        self.done()


def _nowhere(model: str, server: Server | None) -> str:
    """What a person may do when the model is nowhere."""
    says = f"{model[:128]!r} is no pulled model (penstock ls), no file and no source such as hf:org/name"
    if server is None:
        return f"{says}, and no server runs at {DEFAULT_URL}"
    models, others = server.listed()
    names = list(dict.fromkeys(found["name"] for found in (*models, *others)))
    if near := closest(model, names):
        return f"{says}; did you mean {near!r} of {server.url}?"
    return f"{says}; {server.url} serves {', '.join(sorted(names)[:10])}"


def source_of(model: str) -> str | None:
    """What `penstock serve` takes for a model that is not served: a file, a folder, a source on the hub, a pulled
    model's name, or a provider's model; None when it is none of these."""
    from penstock.repository import library
    from penstock.repository.hub.names import is_hub
    from penstock.repository.remote_names import is_remote

    if is_hub(model) or Path(model).expanduser().exists():
        return model
    found = library.find(model)
    if found is not None:
        return found.name
    return model if is_remote(model) else None


def on_disk(source: str) -> tuple[str, str]:
    """The source, pulled first if it is on the hub, and the name to serve it under."""
    from penstock.repository.hub.names import is_hub
    from penstock.repository.sources import name_of

    if is_hub(source):
        from penstock.cli import downloading

        source = downloading.pull(source).name
    elif (path := Path(source).expanduser()).exists():
        source = os.path.abspath(path)
    return source, name_of(source)
