"""The engines that the tests run over, their models, and how a test talks to one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from penstock.core.generation import Sampling
from penstock.core.language import LanguageModel
from penstock.core.model import ModelSpec
from penstock.runtimes.generation import choice
from penstock.runtimes.generation.contract import Choice, Progress, TokenEngine, Tokenizer
from penstock.runtimes.generation.engines.choice import create

EOS = 2
CONTEXT = 512
SEQUENCES = 6


@dataclass(frozen=True)
class Kind:
    """An engine under test. `file`: what it reads in the model's folder. `exact`: its greedy tokens are those of
    transformers in FP32, but where two are as good as equal."""

    name: str
    format: str
    file: str
    exact: bool = True
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def absent(self) -> str:
        """Why it cannot be tested here, or ""."""
        return "" if choice.installed(self.name) else f"{self.name} is not installed"


KINDS = (
    Kind("openvino", "gguf", "f16.gguf"),
    Kind("llamacpp", "gguf", "f16.gguf"),
    Kind("transformers", "causal-lm", "hf"),
)
"""One line for every engine."""


def each(kinds: Sequence[Kind] = KINDS) -> list[Any]:
    """The engines as parameters of a test; absent ones are skipped with the reason."""
    return [pytest.param(kind, id=kind.name, marks=pytest.mark.skipif(bool(kind.absent), reason=kind.absent))
            for kind in kinds]  # fmt: skip


class Loaded:
    """A loaded engine, and what it says of its sequences."""

    def __init__(self, engine: TokenEngine, tokenizer: Tokenizer):
        self.engine = engine
        self.tokenizer = tokenizer
        self.tokens: dict[int, list[int]] = {}
        self.choices: dict[int, list[Choice]] = {}
        self.ended: dict[int, str] = {}
        self.cached: dict[int, int] = {}
        self.drafted = self.accepted = 0
        self._next = 0

    def submit(self, prompt: Sequence[int], grammar: str = "", adapter: str = "", **sampling: Any) -> int:
        """Adds a sequence; greedy and going on to the end, if nothing else is said."""
        self._next += 1
        plain = {"temperature": 0.0, "top_p": 1.0, "top_k": 0, "min_p": 0.0, "max_tokens": 12, "ignore_eos": True}
        self.engine.submit(self._next, list(prompt), Sampling(**{**plain, **sampling}), grammar, adapter)
        self.tokens[self._next], self.choices[self._next] = [], []
        return self._next

    def step(self) -> list[Progress]:
        """Steps once, and writes down what is new."""
        news = self.engine.step()
        for progress in news:
            assert progress.id not in self.ended, "nothing comes after the end"
            self.tokens[progress.id] += progress.tokens
            self.choices[progress.id] += progress.choices
            self.cached[progress.id] = self.cached.get(progress.id, 0) + progress.cached
            self.drafted += progress.draft
            self.accepted += progress.accepted
            if progress.finished:
                self.ended[progress.id] = progress.finished
        return news

    def finish(self) -> None:
        """Steps until nothing is left."""
        while self.engine.busy:
            self.step()

    def all(self, prompts: Sequence[Sequence[int]], **sampling: Any) -> list[list[int]]:
        """The answers to these prompts, generated together."""
        ids = [self.submit(prompt, **sampling) for prompt in prompts]
        self.finish()
        return [self.tokens[id] for id in ids]

    def one(self, prompt: Sequence[int], **sampling: Any) -> list[int]:
        """The answer to one prompt, generated alone."""
        return self.all([prompt], **sampling)[0]


def load(kind: Kind, model: Path, **settings: Any) -> Loaded:
    """A new engine with one of the test's models."""
    described = {"context": CONTEXT, "sequences": SEQUENCES, "eos": (EOS,), **settings}
    described["engine_options"] = {**kind.options, **described.get("engine_options", {})}
    spec = ModelSpec(name="random", runtime="llm", path=str(model / kind.file), format=kind.format, threads=2)
    engine = create(kind.name)
    return Loaded(engine, engine.load(spec, LanguageModel(**described)))
