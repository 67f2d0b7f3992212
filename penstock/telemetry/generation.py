"""What happened to requests for generated text: times to the first token and between tokens, counts, ends."""

from __future__ import annotations

from collections import Counter

import numpy as np

from penstock.core.generation import Usage
from penstock.telemetry.recorder import FOLD_AT, Histogram, Recorder

# vLLM's own buckets, so that dashboards and alerts made for it read these too.
FIRST_BUCKETS = (
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0, 160.0,
)  # fmt: skip
BETWEEN_BUCKETS = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0,
    40.0, 80.0,
)  # fmt: skip
WHOLE_BUCKETS = (
    0.05, 0.1, 0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0, 480.0,
)  # fmt: skip
SPANS = {"first": FIRST_BUCKETS, "between": BETWEEN_BUCKETS} | dict.fromkeys(
    ("whole", "queue", "prefill", "decode"), WHOLE_BUCKETS
)


class GenerationRecorder:
    """One language model's numbers since start; requests and errors are counted in the model's `Recorder` as well.

    `spans`, in seconds: "first" (from arrival to the first token), "between" tokens, "whole" (arrival to end), "queue"
    (until sent to an engine), "prefill" (from there to the first token), "decode" (from the first token to the end).
    """

    def __init__(self, recorder: Recorder):
        self._recorder = recorder
        self._spans = {name: Histogram(bounds) for name, bounds in SPANS.items()}
        self._samples: dict[str, list[float]] = {name: [] for name in SPANS}
        self.reasons: Counter[str] = Counter()
        self.prompt_tokens = 0
        self.cached_tokens = 0
        self.completion_tokens = 0
        self.draft_tokens = 0
        self.accepted_tokens = 0
        self.busy_s = 0.0

    def error(self, code: str) -> None:
        """One request that ended with an error of that code."""
        self._recorder.error(code)

    def stopped(self, reason: str) -> None:
        """One answer that ended for that reason."""
        self.reasons[reason] += 1

    def prompt(self, tokens: int, cached: int) -> None:
        """One prompt was read; so many of its tokens were known."""
        self.prompt_tokens += tokens
        self.cached_tokens += cached

    def generated(self, tokens: int, gap_s: float | None) -> None:
        """A step's tokens of one request, so long after those before (None: its first)."""
        self.completion_tokens += tokens
        if gap_s is not None:
            self._add("between", gap_s)

    def step(self, seconds: float) -> None:
        """One step of an engine."""
        self.busy_s += seconds

    def finished(self, arrived: float, started: float, first: float | None, finished: float, usage: Usage) -> None:
        """One request that went well; moments on the scheduler's clock (`first` 0: it had no token; None: nobody knows
        when that came)."""
        self._add("queue", started - arrived)
        self._add("whole", finished - arrived)
        if first is not None:
            first = first or finished
            self._add("first", first - arrived)
            self._add("prefill", first - started)
            self._add("decode", finished - first)
        self._recorder.request(finished - arrived, started - arrived, 0.0, finished - started)
        self._recorder.batch(1, finished - started)
        self.draft_tokens += usage.draft_tokens
        self.accepted_tokens += usage.accepted_tokens

    def spans(self) -> dict[str, Histogram]:
        """Seconds by what they measure."""
        for name in self._samples:
            self._fold(name)
        return self._spans

    def _add(self, name: str, seconds: float) -> None:
        samples = self._samples[name]
        samples.append(seconds)
        if len(samples) >= FOLD_AT:
            self._fold(name)

    def _fold(self, name: str) -> None:
        samples, self._samples[name] = self._samples[name], []
        if samples:
            self._spans[name].add(np.array(samples))
