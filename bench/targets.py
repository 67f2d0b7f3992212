"""The speed that Penstock promises, and whether this run showed it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench import peers, penstock
from bench.results import Loads, Part, Results, Sustained, middle, ratio

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


def iris(part: Part | None) -> list[Verdict]:
    """One row per request."""
    loads, base = _loads(part), peers.FASTAPI
    ours = penstock.IRIS
    return [
        times(loads, "32 connections: ≥ 10× FastAPI + scikit-learn (aim: 15×)", ours, base, 32, 10),
        lower(loads, "32 connections: p99 below FastAPI + scikit-learn's", ours, base, 32, "p99_ms"),
        times(loads, "256 connections: ≥ 12× FastAPI + scikit-learn", ours, base, 256, 12),
        lower(loads, "1 connection: p50 below FastAPI + scikit-learn's (aim: 0.28 ms)", ours, base, 1, "p50_ms"),
    ]


def tensor(part: Part | None) -> list[Verdict]:
    """One image per request."""
    loads, ours = _loads(part), penstock.IMAGE_BINARY
    return [
        times(loads, "4 connections: binary ≥ 20× JSON", ours, penstock.IMAGE_JSON, 4, 20),
        times(loads, "4 connections: binary ≥ 1.5× FastAPI, binary", ours, peers.FASTAPI_BINARY, 4, 1.5),
    ]


def start(results: Results) -> list[Verdict]:
    """Before the first request."""
    return [
        at_most("`penstock serve iris.onnx` to /readyz 200: ≤ 1.5 s", _middle_ready(results), 1.5, "s"),
        at_most("server process without models: < 120 MB", results.server_rss_mb, 120, "MB"),
    ]


def sustained(run: Sustained | None) -> list[Verdict]:
    """Under a long load."""
    return [_steady(run), _flat(run)]


def times(loads: Loads, target: str, name: str, base: str, connections: int, wanted: float) -> Verdict:
    """Throughput as a multiple of another's."""
    return at_least(target, ratio(loads, name, base, connections), wanted)


def lower(loads: Loads, target: str, name: str, base: str, connections: int, figure: str) -> Verdict:
    """A latency below another's."""
    ours, theirs = (middle(loads, who, connections, figure) for who in (name, base))
    if ours is None or theirs is None:
        return Verdict(target, "–", None)
    return Verdict(target, f"{ours:.2f} ms against {theirs:.2f} ms", ours < theirs)


def _steady(run: Sustained | None) -> Verdict:
    target = "second minute within 5 % of the first"
    if run is None:
        return Verdict(target, "–", None)
    change = run.second.requests_per_s / run.first.requests_per_s - 1
    shown = f"{run.first.requests_per_s:,.0f}/s, then {run.second.requests_per_s:,.0f}/s ({change:+.1%})"
    return Verdict(target, shown + _halves(run.seconds), abs(change) <= 0.05)


def _flat(run: Sustained | None) -> Verdict:
    target = f"memory of server and workers flat (growth ≤ {RSS_GROWTH_LIMIT:.0%})"
    if run is None:
        return Verdict(target, "–", None)
    growth = run.rss_end_mb / run.rss_start_mb - 1
    shown = f"{run.rss_start_mb:.1f} MB, then {run.rss_end_mb:.1f} MB ({growth:+.1%})"
    return Verdict(target, shown, growth <= RSS_GROWTH_LIMIT)


def _halves(seconds: float) -> str:
    return "" if seconds == 60 else f", halves of {seconds:g} s instead of minutes"


def _loads(part: Part | None) -> Loads:
    return {} if part is None else part.loads


def _middle_ready(results: Results) -> float | None:
    return sorted(results.ready_s)[len(results.ready_s) // 2] if results.ready_s else None


def at_least(target: str, value: float | None, wanted: float) -> Verdict:
    """A multiple that is to be reached; None: not measured."""
    return _verdict(target, value, "×", lambda number: number >= wanted)


def at_most(target: str, value: float | None, wanted: float, unit: str) -> Verdict:
    """A figure that is not to be exceeded; None: not measured."""
    return _verdict(target, value, f" {unit}", lambda number: number <= wanted)


def _verdict(target: str, value: float | None, unit: str, passes: Callable[[float], bool]) -> Verdict:
    return Verdict(target, "–", None) if value is None else Verdict(target, f"{value:.2f}{unit}", passes(value))
