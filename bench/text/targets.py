"""The speed that Penstock promises for text models."""

from __future__ import annotations

from statistics import median

from bench.results import Loads, Text
from bench.targets import Verdict, at_least, lower, times
from bench.text import ours
from bench.text.rivals import FASTAPI


def verdicts(text: Text | None) -> list[Verdict]:
    """Every target, in the order of the report."""
    plain: Loads = text.plain.loads if text is not None else {}
    repeating: Loads = text.repeating.loads if text is not None else {}
    peer = "FastAPI + transformers + torch"
    return [
        times(plain, f"fp32, 32 connections: ≥ 3.5× {peer}", ours.FP32, FASTAPI, 32, 3.5),
        lower(plain, f"fp32, 32 connections: p99 below {peer}'s", ours.FP32, FASTAPI, 32, "p99_ms"),
        times(plain, f"int8, 32 connections: ≥ 7× {peer}", ours.INT8, FASTAPI, 32, 7),
        lower(plain, f"int8, 32 connections: p99 below {peer}'s", ours.INT8, FASTAPI, 32, "p99_ms"),
        times(repeating, f"fp32 + cache, 80 % repeats: ≥ 25× {peer}", ours.FP32_CACHE, FASTAPI, 32, 25),
        times(repeating, f"int8 + cache, 80 % repeats: ≥ 25× {peer}", ours.INT8_CACHE, FASTAPI, 32, 25),
        *(_overhead(text, name) for name in (ours.FP32, ours.INT8)),
    ]


def share(text: Text, name: str) -> float | None:
    """Served throughput as a share of the bare runtime's: the median of the rounds' own ratios."""
    rounds = text.overhead.get(name, [])
    return median(seen.served_per_s / seen.bare_per_s for seen in rounds) if rounds else None


def _overhead(text: Text | None, name: str) -> Verdict:
    precision = name.rpartition(" ")[2]
    target = f"{precision}, 32 connections: ≥ 0.9× the bare runtime in a loop with the same batches"
    return at_least(target, None if text is None else share(text, name), 0.9)
