"""`penstock rm`: pulled models off this machine's disk."""

from __future__ import annotations

from typing import Annotated

import typer


def rm(models: Annotated[list[str], typer.Argument(help="Pulled models, as penstock ls names them.")]) -> None:
    """Remove pulled models and their files. Files that another pulled model uses stay."""
    from penstock.repository import library

    for name in models:
        entry = library.remove(name)
        typer.echo(f"removed {entry.name}; penstock pull {entry.source} gets it again")
