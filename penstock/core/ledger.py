"""What is kept of every request: who asked what, who answered, what it took and cost."""

from __future__ import annotations

from typing import Protocol

import msgspec


class Entry(msgspec.Struct, gc=False):
    """One request, once its reply has ended. Times are seconds, money is USD.

    `at`: wall clock (Unix time) of its end. `tenant` and `key` (its id): who asked. `name`: what was asked for;
    `route`, `model`, `version`: who answered, "" where nobody did. `status`: 200, or the error's; `code`: the error's,
    "" without one. `cost`: None where no price is known. `premium`: what the dearest model of the route would have
    cost. `features`: numbers that describe the question, never its words; only of routes with `log_features`.
    `shadow`: a call that nobody asked for, to compare models; no budget counts it.
    """

    id: str
    at: float
    tenant: str
    key: str
    name: str
    route: str
    model: str
    version: str
    why: str
    tries: int
    status: int
    code: str
    cache: str
    degraded: str
    rows: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    queue_s: float
    first_s: float
    total_s: float
    busy_s: float
    cost: float | None
    premium: float | None
    features: str = ""
    shadow: bool = False


class Feedback(msgspec.Struct, frozen=True):
    """How good an answer was: `score` from 0 to 1, by whoever asked. `source`: "user", or "shadow" for the agreement
    with another model."""

    request: str
    tenant: str
    at: float
    score: float
    source: str = "user"
    comment: str = ""


class Ledger(Protocol):
    """Takes entries, and never waits: they are written in batches, beside the path."""

    def record(self, entry: Entry) -> None: ...

    def feedback(self, feedback: Feedback) -> None: ...
