"""Drives a token engine step by step, and puts together what comes out."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from penstock.core.generation import Sampling
from penstock.core.language import LanguageModel
from penstock.core.model import ModelSpec
from penstock.runtimes.generation.contract import Choice, Progress, TokenEngine

TINY = Path(__file__).parents[4] / "penstock" / "cli" / "demo" / "tiny.gguf"
GREEDY = {"temperature": 0.0, "top_p": 1.0, "top_k": 0, "min_p": 0.0, "max_tokens": 24}


def sampling(**said: Any) -> Sampling:
    """As the runtime hands it to an engine: nothing left open. Greedy unless said otherwise."""
    return Sampling(**{**GREEDY, **said})


def spec(path: Path = TINY, **said: Any) -> ModelSpec:
    """A model's description for an engine on the CPU."""
    return ModelSpec(**{"name": "m", "runtime": "llm", "path": str(path), "format": "gguf", "device": "cpu", **said})


def tiny(**said: Any) -> LanguageModel:
    """The demo's model, for a few short sequences."""
    return LanguageModel(**{"architecture": "llama", "context": 256, "sequences": 4, "eos": (1019,), **said})


class Answer:
    """Everything that was reported of one sequence."""

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.choices: list[Choice] = []
        self.finished = ""
        self.cached = self.draft = self.accepted = 0
        self.error = ""

    def add(self, progress: Progress) -> None:
        """One more report; none may come after the end."""
        assert not self.finished, "a sequence was reported after its end"
        self.tokens += progress.tokens
        self.choices += progress.choices
        self.finished, self.error = progress.finished, progress.error
        self.cached += progress.cached
        self.draft += progress.draft
        self.accepted += progress.accepted


def finish(engine: TokenEngine, ids: Iterable[int], seconds: float = 60) -> dict[int, Answer]:
    """Steps until these sequences have ended."""
    answers = {id: Answer() for id in ids}
    until = time.monotonic() + seconds
    while not all(answer.finished for answer in answers.values()):
        assert time.monotonic() < until, "the sequences do not end"
        for progress in engine.step():
            answers[progress.id].add(progress)
    return answers


def one(engine: TokenEngine, prompt: list[int], grammar: str = "", adapter: str = "", **said: Any) -> Answer:
    """One sequence alone, from its prompt to its end."""
    engine.submit(1, prompt, sampling(**said), grammar, adapter)
    return finish(engine, [1])[1]
