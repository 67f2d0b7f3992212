"""The demo's table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from penstock.cli.demo.asking import CLIENTS, Result

if TYPE_CHECKING:
    from rich.table import Table


def table(results: Sequence[Result]) -> Table:
    """One line per model."""
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    made.add_column("model")
    made.add_column("rows", justify="right")
    made.add_column("accuracy or error")
    for title in ("p50", "p99", "req/s", "mean batch"):
        made.add_column(title, justify="right")
    for result in results:
        made.add_row(*cells(result), style=None if result.good else "red")
    return made


def cells(result: Result) -> list[str]:
    """A model's line."""
    return [
        result.model,
        str(result.rows),
        score(result),
        f"{result.p50_ms:.1f} ms",
        f"{result.p99_ms:.1f} ms",
        f"{result.requests_per_s:,.0f}",
        f"{result.mean_batch:.1f}",
    ]


def score(result: Result) -> str:
    """Such as "accuracy 96.3%"."""
    return f"accuracy {result.score:.1%}" if result.measure == "accuracy" else f"mean error {result.score:.1f}"


def caption(results: Sequence[Result]) -> str:
    """What the table's figures are."""
    requests = sum(result.requests for result in results)
    asked = f"{requests:,} HTTP requests of one row each from {CLIENTS} concurrent Python clients"
    return f"{asked}; rows: held out, never seen in training."


def complaints(results: Sequence[Result]) -> list[str]:
    """What went wrong, if anything."""
    said = []
    for result in results:
        if result.failures:
            said.append(f"{result.model}: {result.failures} requests failed; the first: {result.first_failure}")
        elif not result.plausible:
            said.append(f"{result.model}: {score(result)} is worse than its training allows")
    return said
