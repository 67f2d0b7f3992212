"""How the answers of one model are read: which of its tokens are text, which marks are looked for."""

from __future__ import annotations

from collections.abc import Iterable

from penstock.core.generation import Generation
from penstock.core.language import LanguageModel
from penstock.runtimes.generation.answer import Answer, Reading
from penstock.runtimes.generation.contract import Tokenizer
from penstock.runtimes.generation.detokenizer import Detokenizer, adds_space
from penstock.runtimes.generation.marks.calls import Calls
from penstock.runtimes.generation.marks.choice import call_format, thinks
from penstock.runtimes.generation.marks.parts import Stage
from penstock.runtimes.generation.marks.think import OPEN, Thoughts
from penstock.runtimes.generation.prompt import offered
from penstock.runtimes.generation.stops import Stops


class Readings:
    """Makes the readers of one model's answers."""

    def __init__(self, model: LanguageModel, tokenizer: Tokenizer):
        self._pieces = tokenizer.pieces()
        self._silent = tokenizer.control | frozenset(model.eos)
        self._ends = frozenset(model.eos)
        self._strip = adds_space(tokenizer)
        self._thinks = thinks(model)
        self._format = call_format(model)

    def answer(self, generation: Generation, index: int, prompt: str) -> Answer:
        """The reader of one choice that goes on from this prompt. Thoughts and calls are a conversation's; a plain
        prompt's answer is told as it is."""
        stages: list[Stage] = []
        shown: list[str] = []
        if generation.messages and self._thinks:
            stages.append(Thoughts(opened=opened(prompt)))
            shown += Thoughts.marks
        if generation.messages and self._format is not None and offered(generation):
            stages.append(Calls(self._format, frozenset(tool.name for tool in offered(generation))))
            shown += self._format.shown
        if generation.sampling.stop:
            stages.append(Stops(generation.sampling.stop))
        return Answer(index, self._reading(generation, stages, shown))

    def _reading(self, generation: Generation, stages: list[Stage], shown: Iterable[str]) -> Reading:
        marks = {mark.encode() for mark in shown}
        hidden = self._silent
        if marks:
            hidden = frozenset(token for token in hidden if self._piece(token) not in marks)
        return Reading(
            pieces=self._pieces,
            detokenizer=Detokenizer(self._pieces, hidden, strip=self._strip and bool(generation.messages)),
            stages=stages,
            ends=self._ends.union(generation.sampling.stop_token_ids),
            top=generation.sampling.logprobs,
            one_call=not generation.parallel_calls,
        )

    def _piece(self, token: int) -> bytes:
        return self._pieces[token] if token < len(self._pieces) else b""


def opened(prompt: str) -> bool:
    """Whether a prompt ends inside of thoughts."""
    return prompt.rstrip().endswith(OPEN)
