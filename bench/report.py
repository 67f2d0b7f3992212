"""The results as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench import peers, penstock
from bench.results import Loads, Results, middle, ratio
from bench.targets import verdicts


def markdown(results: Results) -> str:
    """The whole generated section."""
    parts = [_machine(results), _targets(results)]
    if results.iris:
        parts.append(_loads("Iris, one row per request", results, results.iris, peers.FASTAPI))
    if results.tensor:
        parts.append(_loads("One 3×224×224 FP32 tensor per request", results, results.tensor, penstock.IMAGE_JSON))
    parts.append(_contestants(results))
    return "\n\n".join(part for part in parts if part)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; columns after the first are figures."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _machine(results: Results) -> str:
    rows = [[key, value] for key, value in results.machine.items()]
    rows.append(["rounds", f"{results.rounds} of {results.seconds:g} s per cell, interleaved; medians"])
    rows.append(["versions", ", ".join(f"{name} {number}" for name, number in sorted(results.versions.items()))])
    return "\n".join(["| this run | |", "| --- | --- |", *(f"| {key} | {value} |" for key, value in rows)])


def _targets(results: Results) -> str:
    rows = [f"| {v.target} | {v.measured} | {v.word} |" for v in verdicts(results)]
    return "### Targets\n\n" + "\n".join(["| target | measured | |", "| --- | --- | --- |", *rows])


def _loads(title: str, results: Results, loads: Loads, base: str) -> str:
    counts = sorted({count for runs in loads.values() for count in runs})
    head = ["server"]
    for count in counts:
        head += [f"{count} conn.: req/s", f"× {base}", "p50 ms", "p99 ms"]
    rows = [[_name(results, name), *_cells(loads, name, base, counts)] for name in loads]
    return f"### {title}\n\n" + table(head, rows)


def _name(results: Results, name: str) -> str:
    size = results.body_bytes.get(name, 0)
    return f"{name} ({size / 1e6:.2f} MB body)" if size > 10_000 else name


def _cells(loads: Loads, name: str, base: str, counts: Sequence[int]) -> list[str]:
    cells = []
    for count in counts:
        cells.append(_number(middle(loads, name, count, "requests_per_s"), ",.0f"))
        cells.append(_number(ratio(loads, name, base, count), ".2f"))
        cells.append(_number(middle(loads, name, count, "p50_ms"), ".2f"))
        cells.append(_number(middle(loads, name, count, "p99_ms"), ".2f"))
    return cells


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def _contestants(results: Results) -> str:
    lines = [f"- {name}: {note}." for name, note in results.notes.items()]
    lines += [f"- {name}: absent, {reason}." for name, reason in results.absent.items()]
    return "### Who took part\n\n" + "\n".join(lines)
