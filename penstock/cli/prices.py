"""`penstock prices`: what answers are priced at."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Annotated, NamedTuple

import msgspec
import typer

from penstock.cli.costs import WIDE
from penstock.cli.state import FILE, ConfigOption
from penstock.core.prices import Price


class Shown(NamedTuple):
    """A name, its price, and where that comes from."""

    name: str
    price: Price
    origin: str


def prices(
    part: Annotated[str, typer.Argument(help="Only names with this in them, such as gpt-5 or bedrock:.")] = "",
    config: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List what answers are priced at, in USD: your own prices first, then the public ones, with their date.

    Local models without a price of their own cost the rent of the machine, by the share that they keep busy.
    """
    found = [*_own(config, part), *_public(part), *_machine(part)]
    if as_json:
        plain = [{"name": each.name, **msgspec.to_builtins(each.price), "from": each.origin} for each in found]
        typer.echo(msgspec.json.encode(plain))
    elif found:
        show(found)
    else:
        print(f"nothing named {part!r} has a price; give it one under prices: in the YAML", file=sys.stderr)


def _own(config: ConfigOption, part: str) -> Iterator[Shown]:
    from penstock.config.file import load

    path = config or (FILE if FILE.is_file() else None)
    own = {} if path is None else load(path, {}).prices
    return (Shown(name, price, "yours") for name, price in own.items() if part.lower() in name.lower())


def _public(part: str) -> Iterator[Shown]:
    from penstock.telemetry.prices.public import public

    return (Shown(name, price, f"checked {checked}") for name, price, checked in public().named(part))


def _machine(part: str) -> Iterator[Shown]:
    from penstock.telemetry.prices.book import MACHINE
    from penstock.telemetry.prices.machine import CHECKED, cores, gpus, hourly

    rent = hourly(cores(), gpus())
    if part.lower() in MACHINE and rent is not None:
        yield Shown(MACHINE, Price(hourly=rent), f"rented ones, {CHECKED}")


def show(found: list[Shown]) -> None:
    """A table for people."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title="USD per million tokens", title_justify="left")
    for title in ("name", "prompt", "cached", "answer", "else", "from"):
        table.add_column(title, justify="left" if title in ("name", "else", "from") else "right", overflow="fold")
    for each in found:
        table.add_row(*(Text(cell) for cell in cells(each)))
    Console(file=sys.stdout, highlight=False, width=None if sys.stdout.isatty() else WIDE).print(table)


def cells(each: Shown) -> list[str]:
    """A line of the table."""
    price = each.price
    more = [f"{price.above_prompt:g} and {price.above_completion:g} above {price.above:,}"] if price.above else []
    more += [f"{price.hourly:.4g} per hour"] if price.hourly else []
    more += [f"{price.request:g} per request"] if price.request else []
    cached = "" if price.cached is None else f"{price.cached:g}"
    answer = f"{price.completion:g}" if price.completion else ""
    return [each.name, f"{price.prompt:g}" if price.prompt else "", cached, answer, ", ".join(more), each.origin]
