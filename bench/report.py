"""The results as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench import peers, penstock
from bench.results import Loads, Results, middle, ratio
from bench.targets import verdicts


def markdown(results: Results) -> str:
    """The whole generated section."""
    parts = [machine_table(results), _targets(results)]
    if results.iris:
        parts.append("### Iris, one row per request\n\n" + loads_table(results, results.iris, peers.FASTAPI))
    if results.tensor:
        table_ = loads_table(results, results.tensor, penstock.IMAGE_JSON)
        parts.append("### One 3×224×224 FP32 tensor per request\n\n" + table_)
    parts.append(_contestants(results))
    return "\n\n".join(part for part in parts if part)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; columns after the first are figures."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def machine_table(results: Results) -> str:
    """Where, when and how."""
    rows = [[key, value] for key, value in results.machine.items()]
    rows.append(["rounds", f"{results.rounds} of {results.seconds:g} s per cell, interleaved; medians"])
    rows.append(["versions", ", ".join(f"{name} {number}" for name, number in sorted(results.versions.items()))])
    return "\n".join(["| this run | |", "| --- | --- |", *(f"| {key} | {value} |" for key, value in rows)])


def _targets(results: Results) -> str:
    rows = [f"| {v.target} | {v.measured} | {v.word} |" for v in verdicts(results)]
    return "### Targets\n\n" + "\n".join(["| target | measured | |", "| --- | --- | --- |", *rows])


def loads_table(results: Results, loads: Loads, base: str) -> str:
    """Medians for each server, and its throughput as a multiple of the base's."""
    counts = sorted({count for runs in loads.values() for count in runs})
    head = ["server"]
    for count in counts:
        head += [f"{count} conn.: req/s", f"× {base}", "p50 ms", "p99 ms"]
    return table(head, [[_name(results, name), *_cells(loads, name, base, counts)] for name in loads])


def _name(results: Results, name: str) -> str:
    size = results.body_bytes.get(name, 0)
    return f"{name} ({size / 1e6:.2f} MB body)" if size > 10_000 else name


def _cells(loads: Loads, name: str, base: str, counts: Sequence[int]) -> list[str]:
    cells = []
    for count in counts:
        cells.append(_number(middle(loads, name, count, "requests_per_s"), ",.0f"))
        cells.append(_number(ratio(loads, name, base, count), ".2f"))
        cells.append(_millis(middle(loads, name, count, "p50_ms")))
        cells.append(_millis(middle(loads, name, count, "p99_ms")))
    return cells


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def _millis(value: float | None) -> str:
    return _number(value, ".3f" if value is not None and value < 1 else ".2f")


def _contestants(results: Results) -> str:
    lines = [f"- {name}: {note}." for name, note in results.notes.items()]
    lines += [f"- {name}: absent, {reason}." for name, reason in results.absent.items()]
    lines += [f"- **{name}: left out, {reason}**" for name, reason in results.wrong.items()]
    return "### Who took part\n\n" + "\n".join(lines)
