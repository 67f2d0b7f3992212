"""Concurrent clients that send held-out rows, and what they saw."""

from __future__ import annotations

import itertools
import threading
import time
from typing import Any

import msgspec

from penstock.cli.demo.models import DemoModel
from penstock.client import Client
from penstock.core.errors import PenstockError

CLIENTS = 16
SECONDS = 2.0
PATIENCE_S = 60.0
MAX_FAILURES = 20


class Result(msgspec.Struct, frozen=True):
    """How one model did. `score`: accuracy or mean error, over `rows` held-out rows; times as clients saw them."""

    model: str
    about: str
    rows: int
    measure: str
    score: float
    plausible: bool
    requests: int
    failures: int
    first_failure: str
    p50_ms: float
    p99_ms: float
    requests_per_s: float
    mean_batch: float

    @property
    def good(self) -> bool:
        """Whether every request was answered, and the answers make sense."""
        return self.plausible and not self.failures


def ask(model: DemoModel, client: Client, clients: int = CLIENTS, seconds: float = SECONDS) -> Result:
    """Sends every held-out row at least once, one per request, from concurrent clients for some seconds."""
    crowd = _Crowd(model, client, time.perf_counter() + seconds)
    before = _executed(client, model.name)
    began = time.perf_counter()
    crowd.run(clients)
    took = time.perf_counter() - began
    rows, batches = (after - start for after, start in zip(_executed(client, model.name), before, strict=True))
    answered = [answer for answer in crowd.answers if answer is not None]
    score = model.score(crowd.answers) if len(answered) == len(model.rows) else float("nan")
    times = sorted(crowd.seconds) or [0.0]
    return Result(
        model=model.name,
        about=model.about,
        rows=len(answered),
        measure=model.measure,
        score=score,
        plausible=model.plausible(score),
        requests=len(crowd.seconds),
        failures=len(crowd.failures),
        first_failure=crowd.failures[0] if crowd.failures else "",
        p50_ms=1000 * times[len(times) // 2],
        p99_ms=1000 * times[len(times) * 99 // 100],
        requests_per_s=len(crowd.seconds) / took,
        mean_batch=rows / batches if batches else 0.0,
    )


def _executed(client: Client, model: str) -> tuple[int, int]:
    """Rows and batches that the server has run for a model."""
    stats = client.stats(model)
    return stats["inference_count"], stats["execution_count"]


class _Crowd:
    """Threads that take turns at the rows until all were sent and the time is up."""

    def __init__(self, model: DemoModel, client: Client, until: float):
        self.answers: list[Any] = [None] * len(model.rows)
        self.seconds: list[float] = []
        self.failures: list[str] = []
        self._model = model
        self._client = client
        self._until = until
        self._turns = itertools.count()

    def run(self, clients: int) -> None:
        threads = [threading.Thread(target=self._one, daemon=True) for _ in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_S)

    def _one(self) -> None:
        model, now = self._model, time.perf_counter
        for turn in self._turns:
            began = now()
            if (turn >= len(model.rows) and began > self._until) or len(self.failures) > MAX_FAILURES:
                return
            at = turn % len(model.rows)
            try:
                answer = self._client.predict([model.rows[at]], model=model.name, outputs=model.outputs)
            except PenstockError as error:
                self.failures.append(error.message)
                continue
            self.seconds.append(now() - began)
            self.answers[at] = answer[0]
