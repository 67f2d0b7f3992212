"""The results as Markdown: one section for each part, with where and when it was measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench import peers, penstock, targets
from bench.results import Loads, Part, Results, middle, ratio
from bench.targets import Verdict

Parts = Sequence[tuple[str, Part]]


def sections(results: Results) -> dict[str, str]:
    """The generated sections by name; what was not measured has none, so that its old one stays."""
    found = {}
    if results.iris is not None:
        found["iris"] = _part(results, results.iris, peers.FASTAPI, targets.iris(results.iris))
    if results.tensor is not None:
        found["tensor"] = _part(results, results.tensor, penstock.IMAGE_JSON, targets.tensor(results.tensor))
    if results.ready_s:
        found["start"] = joined(provenance(results, []), verdict_table(targets.start(results)))
    if results.sustained is not None:
        found["sustained"] = joined(provenance(results, []), verdict_table(targets.sustained(results.sustained)))
    return found


def joined(*blocks: str) -> str:
    """Blocks of Markdown, with an empty line between them."""
    return "\n\n".join(block for block in blocks if block)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; columns after the first are figures."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def provenance(results: Results, parts: Iterable[Part]) -> str:
    """Where, when and how."""
    versions = {name: number for part in parts for name, number in part.versions.items()}
    rows = [[key, value] for key, value in results.machine.items()]
    if versions:
        rows.append(["rounds", f"{results.rounds} of {results.seconds:g} s per cell, interleaved, medians"])
        rows.append(["versions", ", ".join(f"{name} {number}" for name, number in sorted(versions.items()))])
    return " · ".join(f"{key}: {value}" for key, value in rows) + "."


def verdict_table(verdicts: Sequence[Verdict]) -> str:
    """Each target, what was measured, and whether that is enough."""
    rows = [f"| {v.target} | {v.measured} | {v.word} |" for v in verdicts]
    return "\n".join(["| target | measured | |", "| --- | --- | --- |", *rows])


def loads_table(part: Part, base: str) -> str:
    """Medians for each server, and its throughput as a multiple of the base's."""
    counts = sorted({count for runs in part.loads.values() for count in runs})
    head = ["server"]
    for count in counts:
        head += [f"{count} conn.: req/s", f"× {base}", "p50 ms", "p99 ms"]
    return table(head, [[_name(part, name), *_cells(part.loads, name, base, counts)] for name in part.loads])


def who(parts: Iterable[Part]) -> str:
    """How everybody was run, who could not be, and who answered wrongly."""
    lines: list[str] = []
    for part in parts:
        lines += [f"- {name}: {note}." for name, note in part.notes.items()]
        lines += [f"- {name}: absent, {reason}." for name, reason in part.absent.items()]
        lines += [f"- **{name}: left out, {reason}**" for name, reason in part.wrong.items()]
    return "\n".join(dict.fromkeys(lines))


def number(value: float | None, form: str) -> str:
    """A figure, or a dash where there is none."""
    return "–" if value is None else format(value, form)


def _part(results: Results, part: Part, base: str, verdicts: Sequence[Verdict]) -> str:
    return joined(provenance(results, [part]), verdict_table(verdicts), loads_table(part, base), who([part]))


def _name(part: Part, name: str) -> str:
    size = part.body_bytes.get(name, 0)
    return f"{name} ({size / 1e6:.2f} MB body)" if size > 10_000 else name


def _cells(loads: Loads, name: str, base: str, counts: Sequence[int]) -> list[str]:
    cells = []
    for count in counts:
        cells.append(number(middle(loads, name, count, "requests_per_s"), ",.0f"))
        cells.append(number(ratio(loads, name, base, count), ".2f"))
        cells.append(_millis(middle(loads, name, count, "p50_ms")))
        cells.append(_millis(middle(loads, name, count, "p99_ms")))
    return cells


def _millis(value: float | None) -> str:
    return number(value, ".3f" if value is not None and value < 1 else ".2f")
