"""`penstock stop`: a running server unloads a model."""

from __future__ import annotations

from typing import Annotated

import typer

from penstock.cli.chat.find import is_there
from penstock.cli.chat.server import DEFAULT_URL, Server, given_url


def stop(
    model: Annotated[str, typer.Argument(help="A served model.")],
    url: Annotated[
        str | None, typer.Option(help="The server to ask (default $PENSTOCK_URL, or this machine's).")
    ] = None,
) -> None:
    """Unload a model from a running server: it finishes what it has accepted, and its memory is free again.

    It stays known: penstock run MODEL loads it again. Ctrl-C in its terminal stops the server itself.
    """
    server = Server(given_url(url) or DEFAULT_URL)
    name = model.removesuffix(":latest")
    is_there(server, server.url)
    server.unload(name)
    typer.echo(f"{name} is unloaded; penstock run {name} loads it again")
