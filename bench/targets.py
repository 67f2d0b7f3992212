"""The speed that Penstock promises, and whether this run showed it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench import peers, penstock
from bench.results import Results, middle, ratio

RSS_GROWTH_LIMIT = 0.05


@dataclass(frozen=True, slots=True)
class Verdict:
    """One target; `passed` is None where this run did not measure it."""

    target: str
    measured: str
    passed: bool | None

    @property
    def word(self) -> str:
        """For the table."""
        return {True: "pass", False: "**fail**", None: "not measured"}[self.passed]


def verdicts(results: Results) -> list[Verdict]:
    """Every target in the order of the report."""
    base, image = peers.FASTAPI, penstock.IMAGE_BINARY
    return [
        _times(results, "32 connections: ≥ 10× FastAPI + scikit-learn (aim: 15×)", 32, 10),
        _lower(results, "32 connections: p99 below FastAPI + scikit-learn's", 32, "p99_ms", base),
        _times(results, "256 connections: ≥ 12× FastAPI + scikit-learn", 256, 12),
        _lower(results, "1 connection: p50 below FastAPI + scikit-learn's (aim: 0.28 ms)", 1, "p50_ms", base),
        _tensor(results, "3×224×224, 4 connections: binary ≥ 20× JSON", image, penstock.IMAGE_JSON, 20),
        _tensor(results, "3×224×224, 4 connections: binary ≥ 1.5× FastAPI, binary", image, peers.FASTAPI_BINARY, 1.5),
        _steady(results),
        _flat(results),
        _at_most("`penstock serve iris.onnx` to /readyz 200: ≤ 1.5 s", _middle_ready(results), 1.5, "s"),
        _at_most("server process without models: < 120 MB", results.server_rss_mb, 120, "MB"),
    ]


def _times(results: Results, target: str, connections: int, wanted: float) -> Verdict:
    return _at_least(target, ratio(results.iris, penstock.IRIS, peers.FASTAPI, connections), wanted)


def _tensor(results: Results, target: str, name: str, base: str, wanted: float) -> Verdict:
    return _at_least(target, ratio(results.tensor, name, base, 4), wanted)


def _lower(results: Results, target: str, connections: int, figure: str, base: str) -> Verdict:
    ours, theirs = (middle(results.iris, name, connections, figure) for name in (penstock.IRIS, base))
    if ours is None or theirs is None:
        return Verdict(target, "–", None)
    return Verdict(target, f"{ours:.2f} ms against {theirs:.2f} ms", ours < theirs)


def _steady(results: Results) -> Verdict:
    target, run = "sustained: second minute within 5 % of the first", results.sustained
    if run is None:
        return Verdict(target, "–", None)
    change = run.second.requests_per_s / run.first.requests_per_s - 1
    shown = f"{run.first.requests_per_s:,.0f}/s, then {run.second.requests_per_s:,.0f}/s ({change:+.1%})"
    return Verdict(target, shown + _halves(run.seconds), abs(change) <= 0.05)


def _flat(results: Results) -> Verdict:
    target, run = f"sustained: memory of server and workers flat (growth ≤ {RSS_GROWTH_LIMIT:.0%})", results.sustained
    if run is None:
        return Verdict(target, "–", None)
    growth = run.rss_end_mb / run.rss_start_mb - 1
    shown = f"{run.rss_start_mb:.1f} MB, then {run.rss_end_mb:.1f} MB ({growth:+.1%})"
    return Verdict(target, shown, growth <= RSS_GROWTH_LIMIT)


def _halves(seconds: float) -> str:
    return "" if seconds == 60 else f", halves of {seconds:g} s instead of minutes"


def _middle_ready(results: Results) -> float | None:
    return sorted(results.ready_s)[len(results.ready_s) // 2] if results.ready_s else None


def _at_least(target: str, value: float | None, wanted: float) -> Verdict:
    return _verdict(target, value, "×", lambda number: number >= wanted)


def _at_most(target: str, value: float | None, wanted: float, unit: str) -> Verdict:
    return _verdict(target, value, f" {unit}", lambda number: number <= wanted)


def _verdict(target: str, value: float | None, unit: str, passes: Callable[[float], bool]) -> Verdict:
    return Verdict(target, "–", None) if value is None else Verdict(target, f"{value:.2f}{unit}", passes(value))
