"""One choice of a request: from an engine's tokens to events."""

from __future__ import annotations

import secrets
import string
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from penstock.core.generation import (
    CallArguments,
    CallStarted,
    Event,
    Reason,
    Reasoning,
    Stopped,
    Text,
    TokenLogprob,
)
from penstock.runtimes.generation.contract import Choice, Progress
from penstock.runtimes.generation.detokenizer import Detokenizer
from penstock.runtimes.generation.marks.parts import Called, Met, Part, Said, Stage, Thought, ended, through
from penstock.runtimes.generation.marks.think import Thoughts

_ALPHABET = string.ascii_letters + string.digits
LOWEST = -9999.0
"""Stands for a log-probability of minus infinity, which JSON cannot say."""


class Reading(NamedTuple):
    """How one choice's tokens are read. `stages`: what its text goes through, in order. `ends`: tokens that end an
    answer and are no text. `top`: alternatives to show per token; None for no log-probabilities. `one_call`: the answer
    ends after its first tool call."""

    pieces: Sequence[bytes]
    detokenizer: Detokenizer
    stages: Sequence[Stage]
    ends: frozenset[int]
    top: int | None = None
    one_call: bool = False


class Answer:
    """One choice. `done`: it has stopped, and its sequence need not go on. `echoed`: its prompt was told."""

    def __init__(self, index: int, reading: Reading):
        self.index = index
        self.done = False
        self.echoed = False
        self.tokens = 0
        self.reasoning_tokens = 0
        self._reading = reading
        self._thoughts = next((stage for stage in reading.stages if isinstance(stage, Thoughts)), None)
        self._untold = 0
        self._unsaid = 0
        self._written = 0
        self._calls = 0
        self._events: list[Event] = []
        self._logprobs: deque[tuple[int, TokenLogprob]] = deque()

    def take(self, progress: Progress) -> list[Event]:
        """The events of what a step brought; the last of all is a `Stopped`."""
        last = len(progress.tokens) - 1
        for at, token in enumerate(progress.tokens):
            if self.done:
                break
            self.tokens += 1
            self._unsaid += 1
            if not (at == last and progress.finished == "stop" and token in self._reading.ends):
                self._token(token, progress.choices[at] if progress.choices else None)
        if progress.finished and not self.done:
            self._end("length" if progress.finished == "length" else "stop")
        events, self._events = self._events, []
        return events

    def echo(self, text: str) -> Text:
        """The prompt's text, which goes before the answer."""
        self.echoed = True
        return Text(self.index, text)

    def _token(self, token: int, choice: Choice | None) -> None:
        if choice is not None and self._reading.top is not None and not self._reading.detokenizer.hides(token):
            self._logprobs.append((self._written, self._logprob(token, choice)))
        text = self._reading.detokenizer.feed(token)
        if self._thoughts is None:
            self._tell(self._read(text))
        else:
            before = self._thoughts.thinking
            parts = self._read(text)
            self._count_thought(before, self._thoughts.thinking)
            self._tell(parts)

    def _read(self, text: str) -> list[Part]:
        if not text:
            return []
        said = Said(text, self._written)
        self._written += len(text)
        return through(self._reading.stages, (said,))

    def _count_thought(self, before: bool | None, after: bool | None) -> None:
        """A token of thoughts, their marks included; those that cannot be told yet wait for one that tells."""
        if before:
            self.reasoning_tokens += 1
        elif before is None:
            self._untold += 1
            if after:
                self.reasoning_tokens += self._untold

    def _end(self, reason: Reason) -> None:
        self._tell(self._read(self._reading.detokenizer.end()))
        if not self.done:
            self._tell(ended(self._reading.stages, cut=reason == "length"))
        if not self.done:
            self._stop(reason)

    def _tell(self, parts: Sequence[Part]) -> None:
        for part in parts:
            if self.done:
                return
            match part:
                case Said(text, start):
                    self._say(text, start)
                case Thought(text):
                    self._events.append(Reasoning(self.index, text, tokens=self._count()))
                case Called(name, arguments):
                    self._call(name, arguments)
                case Met(stop):
                    self._stop("stop", stop)

    def _say(self, text: str, start: int) -> None:
        logprobs, tokens = self._logprobs_of(start, start + len(text)), self._count()
        last = self._events[-1] if self._events else None
        if isinstance(last, Text):
            text, logprobs, tokens = last.text + text, last.logprobs + logprobs, last.tokens + tokens
            self._events.pop()
        self._events.append(Text(self.index, text, logprobs, tokens))

    def _call(self, name: str, arguments: str) -> None:
        id = "call_" + "".join(secrets.choice(_ALPHABET) for _ in range(24))
        self._events.append(CallStarted(self.index, self._calls, id, name, tokens=self._count()))
        self._events.append(CallArguments(self.index, self._calls, arguments))
        self._calls += 1
        if self._reading.one_call:
            self._stop("tool_calls")

    def _stop(self, reason: Reason, stop: str | None = None) -> None:
        if self._calls and reason == "stop":
            reason = "tool_calls"
        self.done = True
        self._events.append(Stopped(self.index, reason, stop, self._count()))

    def _count(self) -> int:
        """Tokens since the last event."""
        count, self._unsaid = self._unsaid, 0
        return count

    def _logprobs_of(self, start: int, end: int) -> tuple[TokenLogprob, ...]:
        """Of the tokens that began in this part of all that was written; earlier ones belong to marks and thoughts."""
        found = []
        while self._logprobs and self._logprobs[0][0] < end:
            at, logprob = self._logprobs.popleft()
            if at >= start:
                found.append(logprob)
        return tuple(found)

    def _logprob(self, token: int, choice: Choice) -> TokenLogprob:
        top = tuple((*self._named(other), _finite(value)) for other, value in choice.top[: self._reading.top])
        return TokenLogprob(*self._named(token), _finite(choice.logprob), top)

    def _named(self, token: int) -> tuple[str, bytes]:
        raw = self._reading.pieces[token] if 0 <= token < len(self._reading.pieces) else b""
        return raw.decode(errors="replace"), raw


def _finite(logprob: float) -> float:
    return logprob if logprob > LOWEST else LOWEST
