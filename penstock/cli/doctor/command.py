"""`penstock doctor`: everything that serving needs, each finding with its fix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
import typer

from penstock.cli.doctor import machine, software
from penstock.cli.doctor.finding import Finding

MARKS = {"ok": ("✓", "green"), "note": ("!", "yellow"), "broken": ("✗", "red")}


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Look this machine over: what works, what lacks, how to fix it. Exit status 1 when something is broken."""
    findings = examine()
    broken = any(finding.verdict == "broken" for finding in findings)
    if as_json:
        typer.echo(msgspec.json.encode({"ok": not broken, "findings": findings}))
    else:
        show(findings)
    raise typer.Exit(1 if broken else 0)


def examine() -> list[Finding]:
    """All findings."""
    return [
        software.penstock(),
        machine.python(),
        machine.cores(),
        machine.memory(),
        machine.open_files(),
        machine.port(),
        machine.gpu(),
        *software.runtimes(),
        software.trust(),
        software.variables(),
        *software.configuration(),
    ]


def show(findings: Sequence[Finding]) -> None:
    """A line per finding, with its fix under it."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 1))
    for finding in findings:
        mark, colour = MARKS[finding.verdict]
        found = Text(finding.found)
        if finding.fix:
            found.append(f"\n{finding.fix}", style="bold")
        table.add_row(Text(mark, style=colour), finding.subject, found)
    Console(highlight=False).print(table)
