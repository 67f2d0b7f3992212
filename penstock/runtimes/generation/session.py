"""One request among those that are answered: its sequences, and the events in their order."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from penstock.core.generation import Event, Generated, Generation, Sampling, Started, Usage
from penstock.runtimes.generation.answer import Answer
from penstock.runtimes.generation.contract import Progress
from penstock.runtimes.generation.prompt import Prompt

News = Event | Generated


class Session:
    """A request of one or more choices. The first sequence begins at once; when `alone`, the others wait until it has
    its first token, so that they find the prompt in the prefix cache."""

    def __init__(self, id: int, generation: Generation, *, alone: bool):
        self.id = id
        self.generation = generation
        self.prompt = Prompt([], "")
        self.grammar = ""
        self._sampling = generation.sampling
        self._alone = alone
        self._answers: list[Answer] = []
        self._started: Started | None = None
        self._drafted = self._accepted = 0

    def enter(self, prompt: Prompt, sampling: Sampling, grammar: str) -> None:
        """Its prompt is known, and the settings in force."""
        self.prompt, self._sampling, self.grammar = prompt, sampling, grammar

    def due(self) -> Sequence[int]:
        """The choices whose sequences may begin now."""
        wanted = self.generation.choices
        return range(len(self._answers), 1 if self._alone and self._started is None else wanted)

    def begin(self, answer: Answer) -> Sampling:
        """A choice's sequence begins; its settings. Every choice has a seed of its own."""
        self._answers.append(answer)
        seed = self._sampling.seed
        if seed is None or answer.index == 0:
            return self._sampling
        return msgspec.structs.replace(self._sampling, seed=seed + answer.index)

    def done(self, index: int) -> bool:
        """Whether a choice has stopped."""
        return self._answers[index].done

    def take(self, index: int, progress: Progress) -> list[News]:
        """The events of what a step brought for one choice; with the last of them, the end."""
        news: list[News] = []
        if self._started is None:
            self._started = Started(len(self.prompt.tokens), progress.cached)
            news.append(self._started)
        answer = self._answers[index]
        if self.generation.echo and not answer.echoed:
            news.append(answer.echo(self.prompt.text))
        self._drafted += progress.draft
        self._accepted += progress.accepted
        news += answer.take(progress)
        if len(self._answers) == self.generation.choices and all(answer.done for answer in self._answers):
            news.append(Generated(self._usage()))
        return news

    def _usage(self) -> Usage:
        answers, started = self._answers, self._started
        return Usage(
            prompt_tokens=len(self.prompt.tokens),
            cached_tokens=started.cached_tokens if started else 0,
            completion_tokens=sum(answer.tokens for answer in answers),
            reasoning_tokens=sum(answer.reasoning_tokens for answer in answers),
            draft_tokens=self._drafted,
            accepted_tokens=self._accepted,
        )
