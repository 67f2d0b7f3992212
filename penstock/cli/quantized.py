"""The report of a quantization as people read it: a table, and a sentence."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from penstock.conversion.quantizing import Report

if TYPE_CHECKING:
    from rich.table import Table


def table(report: Report) -> Table:
    """Size, speed and quality, before and after."""
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("", report.before, report.precision, ""):
        made.add_column(title, justify="left" if not title else "right")
    for row in (*_size(report), *_speed(report)):
        made.add_row(*row)
    made.add_section()
    for row in _quality(report):
        made.add_row(*row)
    return made


def _size(report: Report) -> list[tuple[str, str, str, str]]:
    size = report.size
    return [("size", megabytes(size.before), megabytes(size.after), f"{size.after / size.before:.0%}")]


def _speed(report: Report) -> list[tuple[str, str, str, str]]:
    before, after = report.measured.before, report.measured.after
    if before is None or after is None:
        return []
    return [
        ("one row, p50", f"{before.p50_ms:.2f} ms", f"{after.p50_ms:.2f} ms", _times(before.p50_ms, after.p50_ms)),
        ("one row, p99", f"{before.p99_ms:.2f} ms", f"{after.p99_ms:.2f} ms", _times(before.p99_ms, after.p99_ms)),
        (
            f"rows/s, {before.batch} at a time",
            f"{before.rows_per_s:,.0f}",
            f"{after.rows_per_s:,.0f}",
            _times(after.rows_per_s, before.rows_per_s),
        ),
    ]


def _times(first: float, second: float) -> str:
    """How many times as fast."""
    return f"{first / second:.1f}×" if second else ""


def _quality(report: Report) -> list[tuple[str, str, str, str]]:
    """The figures of the comparison; those of one version each stand in its column."""
    figures = dict(report.measured.quality.figures)
    rows = []
    for name in [name for name in figures if name.endswith("_before")]:
        plain = name.removesuffix("_before")
        rows.append((plain, f"{figures.pop(name):.4f}", f"{figures.pop(f'{plain}_after'):.4f}", ""))
    rows += [(name.replace("_", " "), "", f"{value:.4f}", "") for name, value in figures.items()]
    return [*rows, ("loss", "", f"{report.measured.quality.loss:.2%}", "")]


def megabytes(count: int) -> str:
    """Bytes in MB, or in KB when they are few."""
    return f"{count / 1e6:,.1f} MB" if count >= 1e6 else f"{count / 1e3:,.1f} KB"


def verdict(report: Report, target: Path | None, max_loss: float) -> str:
    """What was compared, on what, and what became of it."""
    quality, measured = report.measured.quality, report.measured
    lines = [
        f"{report.method}",
        f"loss: {quality.measure}, on {quality.data}",
        f"measured on {report.processor}, {measured.threads} threads",
    ]
    if target is not None:
        return "\n".join([*lines, f"written: {target}   (penstock serve {target})"])
    over = f"the loss is {quality.loss:.2%}, over --max-loss {max_loss:.2%}"
    return "\n".join([*lines, f"not written: {over}; --force writes it all the same"])
