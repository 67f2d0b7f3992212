"""The quantization part as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.report import joined, provenance, table
from bench.results import Quantized, Results

# `penstock quantize` writes nothing by itself when more is lost.
_MAX_LOSS = 0.01
_HEAD = ("way", "size", "one row, p50", "rows/s in batches", "×", "rows judged", "answers", "loss", "≤ 1 %")


def section(results: Results, found: Sequence[Quantized]) -> str:
    """A table for each model."""
    models = list(dict.fromkeys(seen.model for seen in found))
    return joined(
        provenance(results, []),
        *(_model(model, [seen for seen in found if seen.model == model]) for model in models),
    )


def _model(model: str, found: Sequence[Quantized]) -> str:
    done = [seen for seen in found if not seen.refused]
    rows = table(_HEAD, map(_row, done)) if done else ""
    methods = [f"- {seen.way}: {seen.refused or seen.report['method']}." for seen in found]
    return joined(f"**{model}**{_judged(done)}", rows, "\n".join(methods))


def _judged(done: Sequence[Quantized]) -> str:
    """What each is compared with, and what counts as loss."""
    compared = dict.fromkeys(seen.report["before"] for seen in done)
    losses = dict.fromkeys(seen.report["measured"]["quality"]["measure"] for seen in done)
    return f": beside {' or '.join(compared)}; the loss is {' or '.join(losses)}." if done else ""


def _row(seen: Quantized) -> list[str]:
    size, measured = seen.report["size"], seen.report["measured"]
    before, after, quality = measured["before"], measured["after"], measured["quality"]
    return [
        seen.way,
        f"{size['before'] / 1e6:.1f} → {size['after'] / 1e6:.1f} MB",
        f"{before['p50_ms']:.2f} → {after['p50_ms']:.2f} ms",
        f"{before['rows_per_s']:,.0f} → {after['rows_per_s']:,.0f}",
        f"{after['rows_per_s'] / before['rows_per_s']:.2f}",
        f"{quality['rows']:,}",
        ", ".join(_figures(quality["figures"])),
        f"{quality['loss']:.2%}",
        "yes" if quality["loss"] <= _MAX_LOSS else "**no**",
    ]


def _figures(figures: dict[str, Any]) -> list[str]:
    return [f"{name.replace('_', ' ')} {value:.4f}" for name, value in figures.items()]
