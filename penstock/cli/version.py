"""`penstock version`."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from typing import Annotated

import msgspec
import typer

CORE = ("penstock", "msgspec", "numpy", "httptools", "uvloop")


def version(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Print the versions of Penstock and what it stands on."""
    found = {**{name: version_of(name) for name in CORE}, "python": platform.python_version()}
    if as_json:
        typer.echo(msgspec.json.encode(found))
        return
    for name, number in found.items():
        typer.echo(f"{name} {number or 'not installed'}")


def version_of(package: str) -> str | None:
    """An installed package's version; None when it is not installed."""
    try:
        return installed(package)
    except PackageNotFoundError:
        return None
