"""The text part as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from bench.report import joined, loads_table, number, provenance, table, verdict_table, who
from bench.results import Overhead, Results, Text
from bench.text.rivals import FASTAPI
from bench.text.targets import share, verdicts


def section(results: Results, text: Text) -> str:
    """Targets, both loads, the server's own share, and who took part."""
    parts = [text.plain, text.repeating]
    return joined(
        provenance(results, parts),
        verdict_table(verdicts(text)),
        "MiniLM (all-MiniLM-L6-v2), distinct search queries of 8 to 32 tokens, one per request:",
        loads_table(text.plain, FASTAPI),
        f"Queries of which {text.asked_before:.0%} were asked before, by Zipf's law (`bench/text/zipf.py`):",
        loads_table(text.repeating, FASTAPI),
        _hits(text),
        _overheads(text),
        _similarities(text),
        who(parts),
    )


def _hits(text: Text) -> str:
    seen = [f"{name}: {rate:.1%}" for name, rate in text.hits.items()]
    return f"Rows answered by the cache, by `/metrics`: {', '.join(seen)}." if seen else ""


def _overheads(text: Text) -> str:
    if not text.overhead:
        return ""
    head = ["32 connections", "texts/s served", "texts/s, bare runtime in a loop", "served ÷ bare", "rows a batch"]
    rows = [
        [name, *_overhead(rounds), number(share(text, name), ".2f"), _rows(rounds)]
        for name, rounds in text.overhead.items()
    ]
    return table(head, rows)


def _overhead(rounds: Sequence[Overhead]) -> list[str]:
    return [f"{median(getattr(seen, figure) for seen in rounds):,.0f}" for figure in ("served_per_s", "bare_per_s")]


def _rows(rounds: Sequence[Overhead]) -> str:
    return f"{median(seen.batch_rows for seen in rounds):.1f}"


def _similarities(text: Text) -> str:
    head = ["cosine with torch's embeddings, 32 texts", "least", "median"]
    rows = [[name, f"{seen.least:.5f}", f"{seen.middle:.5f}"] for name, seen in text.similarity.items()]
    return table(head, rows) if rows else ""
