"""The double of an engine: it answers with tokens that were written down before, in steps of any size."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from penstock.core.errors import BadInput
from penstock.core.generation import EngineStats, Sampling
from penstock.core.language import LanguageModel
from penstock.core.model import ModelSpec
from penstock.runtimes.generation.contract import Capabilities, Choice, Progress, Tokenizer
from tests.runtimes.generation.words import tokenizer


@dataclass
class Sequence_:
    """A sequence that was submitted, and what is left of its answer."""

    id: int
    prompt: list[int]
    sampling: Sampling
    grammar: str
    adapter: str
    left: deque[int] = field(default_factory=deque)


class ScriptedEngine:
    """Answers every prompt with `script` (and the end of the text), `pace` tokens per step. `failing`: engines' words
    for an answer that they give up."""

    def __init__(self, script: Sequence[int] = (), *, pace: int = 1, can: Capabilities | None = None, end: int = 1):
        self.can = can or Capabilities(20, logit_bias=True, min_p=True, grammar=True, adapters=True)
        self.script = list(script)
        self.pace = pace
        self.end = end
        self.failing = ""
        self.refusing = ""
        self.steps = 0
        self.submitted: list[Sequence_] = []
        self.cancelled: list[int] = []
        self._running: dict[int, Sequence_] = {}

    def load(self, spec: ModelSpec, model: LanguageModel) -> Tokenizer:
        return tokenizer()

    def submit(self, id: int, prompt: list[int], sampling: Sampling, grammar: str = "", adapter: str = "") -> None:
        if self.refusing and len(self.submitted):
            raise BadInput(self.refusing)
        sequence = Sequence_(id, prompt, sampling, grammar, adapter, deque([*self.script, self.end]))
        self.submitted.append(sequence)
        self._running[id] = sequence

    def cancel(self, id: int) -> None:
        if self._running.pop(id, None) is not None:
            self.cancelled.append(id)

    def step(self) -> list[Progress]:
        assert self.busy, "a step with nothing to do"
        self.steps += 1
        return [self._advance(sequence) for sequence in list(self._running.values())]

    def _advance(self, sequence: Sequence_) -> Progress:
        first = len(sequence.left) == len(self.script) + 1
        tokens: list[int] = []
        while sequence.left and len(tokens) < self.pace and not self._full(sequence, tokens):
            tokens.append(sequence.left.popleft())
        finished = "stop" if not sequence.left else "length" if self._full(sequence, tokens) else ""
        if self.failing:
            finished = "error"
        if finished:
            del self._running[sequence.id]
        choices = [Choice(-0.5, ((token, -0.5), (2, float("-inf")))) for token in tokens]
        cached = 3 if first and len(self.submitted) > 1 else 0
        return Progress(sequence.id, tokens, choices, finished, cached, draft=2, accepted=1, error=self.failing)

    def _full(self, sequence: Sequence_, tokens: list[int]) -> bool:
        done = len(self.script) + 1 - len(sequence.left)
        return done >= (sequence.sampling.max_tokens or 0)

    @property
    def busy(self) -> bool:
        return bool(self._running)

    def stats(self) -> EngineStats:
        return EngineStats(running=len(self._running))
