"""Everything that one run of the bench found out; what the report and the JSON are made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import Any

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
class Part:
    """One field of contestants under one kind of load: who they were, and what was measured."""

    loads: Loads = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    wrong: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    body_bytes: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Overhead:
    """Texts per second through the server, and from the bare runtime in a loop with batches of the same sizes."""

    served_per_s: float
    bare_per_s: float
    batch_rows: float


@dataclass(frozen=True, slots=True)
class Similarity:
    """The cosines of a contestant's embeddings with torch's."""

    least: float
    middle: float


@dataclass(slots=True)
class Text:
    """The text part. `asked_before`: the share of repeats in the stream; `hits`: of rows that a cache answered."""

    plain: Part
    repeating: Part
    asked_before: float = 0.0
    similarity: dict[str, Similarity] = field(default_factory=dict)
    overhead: dict[str, list[Overhead]] = field(default_factory=dict)
    hits: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Quantized:
    """What `penstock quantize` reported for one model in one way, or why it would not."""

    model: str
    way: str
    report: dict[str, Any] = field(default_factory=dict)
    refused: str = ""


@dataclass(slots=True)
class Results:
    """What was not measured stays empty."""

    machine: dict[str, str]
    rounds: int
    seconds: float
    iris: Part | None = None
    tensor: Part | None = None
    text: Text | None = None
    quantization: list[Quantized] = field(default_factory=list)
    sustained: Sustained | None = None
    ready_s: list[float] = field(default_factory=list)
    server_rss_mb: float | None = None

    def parts(self) -> list[Part]:
        """Every field that ran."""
        text = [self.text.plain, self.text.repeating] if self.text is not None else []
        return [part for part in (self.iris, self.tensor, *text) if part is not None]


def middle(loads: Loads, name: str, connections: int, figure: str) -> float | None:
    """The median over the rounds of one figure, such as `requests_per_s`."""
    runs = loads.get(name, {}).get(connections, [])
    return median(getattr(run, figure) for run in runs) if runs else None


def ratio(loads: Loads, name: str, base: str, connections: int) -> float | None:
    """How many times the base's throughput: the median of the rounds' own ratios, each pair measured close in time."""
    pairs = zip(loads.get(name, {}).get(connections, []), loads.get(base, {}).get(connections, []), strict=False)
    ratios = [ours.requests_per_s / theirs.requests_per_s for ours, theirs in pairs]
    return median(ratios) if ratios else None
