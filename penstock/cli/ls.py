"""`penstock ls`: the models that were pulled."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

if TYPE_CHECKING:
    from penstock.repository.library import Entry


def ls(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the models that were pulled, and lie on this machine's disk."""
    from penstock.repository import library

    entries = library.entries()
    if as_json:
        plain = [{**msgspec.to_builtins(entry), "complete": entry.complete} for entry in entries]
        typer.echo(msgspec.json.encode(plain))
    elif entries:
        show(entries)
    else:
        print("nothing was pulled yet; penstock pull hf:org/name does so", file=sys.stderr)


def show(entries: list[Entry]) -> None:
    """A table for people."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("name", "size", "family", "weights", "pulled", "from"):
        table.add_column(title, overflow="fold", justify="right" if title == "size" else "left")
    for entry in entries:
        table.add_row(*(Text(cell) for cell in cells(entry)))
    Console(file=sys.stdout).print(table)


def cells(entry: Entry) -> list[str]:
    """A model's line."""
    from penstock.runtimes.generation.memory import in_words

    size = in_words(entry.size) if entry.complete else "files are gone"
    pulled = entry.modified.partition(".")[0].replace("T", " ").removesuffix("Z")
    return [entry.name, size, entry.family, entry.quantization, pulled, entry.source]
