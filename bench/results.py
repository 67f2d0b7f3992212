"""Everything that one run of the bench found out; what the report and the JSON are made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median

from bench.wrk import Load

Loads = dict[str, dict[int, list[Load]]]


@dataclass(slots=True)
class Sustained:
    """Two halves of one long load, and the memory of server and workers around them."""

    seconds: float
    first: Load
    second: Load
    rss_start_mb: float
    rss_end_mb: float


@dataclass(slots=True)
class Results:
    """What was not measured stays empty."""

    machine: dict[str, str]
    rounds: int
    seconds: float
    iris: Loads = field(default_factory=dict)
    tensor: Loads = field(default_factory=dict)
    sustained: Sustained | None = None
    ready_s: list[float] = field(default_factory=list)
    server_rss_mb: float | None = None
    absent: dict[str, str] = field(default_factory=dict)
    wrong: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    body_bytes: dict[str, int] = field(default_factory=dict)


def middle(loads: Loads, name: str, connections: int, figure: str) -> float | None:
    """The median over the rounds of one figure, such as `requests_per_s`."""
    runs = loads.get(name, {}).get(connections, [])
    return median(getattr(run, figure) for run in runs) if runs else None


def ratio(loads: Loads, name: str, base: str, connections: int) -> float | None:
    """How many times the base's throughput: the median of the rounds' own ratios, each pair measured close in time."""
    pairs = zip(loads.get(name, {}).get(connections, []), loads.get(base, {}).get(connections, []), strict=False)
    ratios = [ours.requests_per_s / theirs.requests_per_s for ours, theirs in pairs]
    return median(ratios) if ratios else None
