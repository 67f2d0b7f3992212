"""`penstock costs`: what answers cost, what was saved, and how good they were."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from typing import Annotated, cast

import msgspec
import typer

from penstock.cli.durations import seconds
from penstock.cli.state import ConfigOption, StateOption, database_of
from penstock.core.errors import ConfigError
from penstock.telemetry.ledger.costs import BY, By, Cost, Costs
from penstock.telemetry.ledger.costs import costs as asked

COLUMNS = {
    "requests": "requests",
    "failed": "failed",
    "kept": "from cache",
    "prompt_tokens": "tokens in",
    "completion_tokens": "tokens out",
    "cost": "cost",
    "per_1000": "per 1,000",
    "saved": "saved",
    "score": "score",
    "agreement": "agrees",
    "per_1000_good": "per 1,000 good",
}
"""What the table shows, in order; columns in which nothing stands are left out."""
ALWAYS = ("requests", "cost", "per_1000")
SHOWN = 10
"""Models without a price that are named."""
WIDE = 160
"""Characters of a line where nobody looks at a terminal."""


def costs(
    by: Annotated[str, typer.Option(help=f"What to tell apart: {', '.join(BY)}.")] = "model",
    since: Annotated[str, typer.Option(help="24h or 30d ago, or a date such as 2026-11-01 (UTC).")] = "30d",
    until: Annotated[str | None, typer.Option(help="The same (default: now).")] = None,
    tenant: Annotated[str | None, typer.Option(help="Only this tenant's.")] = None,
    config: ConfigOption = None,
    state: StateOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what answers cost: by model, tenant, route or day, with what was saved and how good they were.

    Saved: against asking the dearest model of each route every time. Quality: the mean of users' feedback
    (POST /v1/feedback), or else of how far a shadow model agrees; "per 1,000 good" is the cost divided by it.
    """
    if by not in BY:
        raise ConfigError(f"--by takes one of {', '.join(BY)}")
    now = time.time()
    start, end = _moment(since, now), now + 1 if until is None else _moment(until, now)
    found = asked(database_of(config, state), cast(By, by), start, end, tenant)
    if as_json:
        typer.echo(msgspec.json.encode(found))
    elif found.rows:
        show(found)
    else:
        print("nothing was asked in this time, or nothing is in the ledger yet", file=sys.stderr)


def _moment(text: str, now: float) -> float:
    """A span before now, or the beginning of a date in UTC. Raises `ConfigError`."""
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        return now - _span(text)
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _span(text: str) -> float:
    try:
        return seconds(text)
    except ConfigError:
        says = f"{text[:40]!r} is no span of time such as 24h or 30d, and no date such as 2026-11-01"
        raise ConfigError(says) from None


def show(found: Costs) -> None:
    """A table for people."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    columns = shown(found)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_footer=len(found.rows) > 1)
    table.add_column(found.by, footer="all", overflow="fold", min_width=10)
    for column in columns:
        table.add_column(COLUMNS[column], footer=Text(cell(found.total, column)), justify="right", no_wrap=True)
    for row in found.rows:
        table.add_row(Text(row.name), *(Text(cell(row, column)) for column in columns))
    Console(file=sys.stdout, width=None if sys.stdout.isatty() else WIDE).print(table)
    print(note(found), file=sys.stderr)


def shown(found: Costs) -> list[str]:
    """The columns in which something stands."""
    return [name for name in COLUMNS if name in ALWAYS or any(cell(row, name) not in ("", "0") for row in found.rows)]


def cell(row: Cost, column: str) -> str:
    """One figure, for people."""
    value = getattr(row, column)
    if value is None:
        return ""
    match column:
        case "score":
            return f"{value:.2f} ({row.scored:,})"
        case "agreement":
            return f"{value:.2f} ({row.compared:,})"
        case "saved":
            return money(value) + ("" if row.saved_share is None else f" ({row.saved_share:.0%})")
        case "cost" | "per_1000" | "per_1000_good":
            return money(value) if row.priced else ""
        case _:
            return amount(value)


def amount(count: int) -> str:
    """A count in few characters: 12,345, then 1.23M."""
    return f"{count:,}" if count < 1_000_000 else f"{count / 1e6:,.2f}M" if count < 1e9 else f"{count / 1e9:,.2f}G"


def money(usd: float) -> str:
    """USD in as many digits as mean something."""
    if abs(usd) >= 100:
        return f"${usd:,.2f}"
    return f"${usd:.4f}" if abs(usd) >= 0.01 else f"${usd:.3g}"


def note(found: Costs) -> str:
    """What to know about these figures."""
    from penstock.telemetry.prices.public import public

    unpriced = found.total.requests - found.total.priced
    have = "request has" if unpriced == 1 else "requests have"
    models = [row.name for row in found.rows if row.priced < row.requests] if found.by == "model" else []
    named = f" ({', '.join(models[:SHOWN])})" if models else ""
    lacking = f"{unpriced:,} {have} no price{named}: name one under prices: in the YAML. " if unpriced else ""
    return (
        f"{lacking}In USD, by the prices in force when each request ended; the public ones are of {public().date}, "
        "to be compared with your bill. The last minute may still be missing."
    )
