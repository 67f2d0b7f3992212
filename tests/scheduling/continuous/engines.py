"""An engine without a model: it answers with the words of its prompt, one a step."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence

from penstock.core.errors import BadInput, PenstockError
from penstock.core.generation import (
    EngineStats,
    Event,
    Generated,
    Generation,
    Started,
    Stopped,
    Text,
    Usage,
)
from penstock.core.language import GENERATION
from penstock.core.model import ModelSpec
from penstock.core.signature import Signature

News = list[tuple[int, Event | Generated | PenstockError]]


class Parrot:
    """Says its prompt's words. "wrong" is refused, "raise" raises, "sleep" takes `pause_s`, "die" kills its process."""

    def __init__(self, pause_s: float = 0.0, sequences: int = 4) -> None:
        self.pause_s = pause_s
        self.sequences = sequences
        self.jobs: dict[int, list[str]] = {}
        self.told: set[int] = set()
        self.most = 0
        self.closed = 0

    def load(self, spec: ModelSpec) -> Signature:
        self.jobs.clear()
        self.told.clear()
        return Signature((), (), batched=False, task=GENERATION, max_tokens=1000, sequences=self.sequences)

    def submit(self, id: int, generation: Generation) -> None:
        self.jobs[id] = str(generation.prompt).split()
        self.most = max(self.most, len(self.jobs))

    def cancel(self, id: int) -> None:
        self.jobs.pop(id, None)

    def step(self) -> News:
        time.sleep(self.pause_s)
        news: News = []
        for id in list(self.jobs):
            news += [(id, what) for what in self._spoken(id)]
        return news

    def _spoken(self, id: int) -> list[Event | Generated | PenstockError]:
        words = self.jobs[id]
        if words[:1] == ["wrong"]:
            del self.jobs[id]
            return [BadInput("that is wrong")]
        if words[:1] == ["raise"]:
            raise RuntimeError("the engine raised")
        if words[:1] == ["die"]:
            os.kill(os.getpid(), signal.SIGKILL)
        if id not in self.told:
            self.told.add(id)
            return [Started(len(words))]
        if words:
            return [Text(0, words.pop(0) + " ", (), 1)]
        del self.jobs[id]
        return [Stopped(0, "stop"), Generated(Usage(1, 0, 1))]

    @property
    def busy(self) -> bool:
        return bool(self.jobs)

    def descriptors(self) -> Sequence[int]:
        return ()

    def stats(self) -> EngineStats:
        return EngineStats(running=len(self.jobs), kv_usage=len(self.jobs) / 10)

    def close(self) -> None:
        self.closed += 1
