"""An answer that is not streamed: the same events, put together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from penstock.core.generation import (
    Call,
    CallArguments,
    CallStarted,
    Event,
    Reason,
    Reasoning,
    Started,
    Stopped,
    Text,
    TokenLogprob,
    Usage,
)
from penstock.protocols.generation.stream import Source


@dataclass(slots=True)
class Choice:
    """One of the answers to a request. `logprobs` are of all its tokens, where they were asked for."""

    text: str = ""
    reasoning: str = ""
    calls: list[Call] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    reason: Reason = "stop"
    stop: str | None = None


@dataclass(slots=True)
class Answer:
    """A whole answer. `started`: what was read of the prompt. `choices` are in order."""

    choices: list[Choice]
    usage: Usage
    started: Started


async def collect(reply: Source) -> Answer:
    """The whole answer of a reply. Raises the error that it ended with; abandoned, it closes the reply."""
    parts = Parts()
    return parts.answer(await follow(reply, parts.add))


async def follow(reply: Source, add: Callable[[Event], object]) -> Usage:
    """Hands over every event of a reply; returns what it took. Raises the error that it ended with; abandoned, it
    closes the reply."""
    try:
        while True:
            for event in reply.take():
                add(event)
            if reply.done:
                return reply.generated().usage
            await reply.news()
    finally:
        reply.close()


class Parts:
    """The events of a reply so far."""

    __slots__ = ("_choices", "_started")

    def __init__(self) -> None:
        self._choices: dict[int, ChoiceParts] = {}
        self._started = Started(0)

    def add(self, event: Event) -> None:
        """The next event."""
        if isinstance(event, Started):
            self._started = event
            return
        choice = self._choices.get(event.choice)
        if choice is None:
            choice = self._choices[event.choice] = ChoiceParts()
        choice.add(event)

    def answer(self, usage: Usage) -> Answer:
        """What they make together."""
        return Answer([self._choices[index].whole() for index in sorted(self._choices)], usage, self._started)


class ChoiceParts:
    """The events of one choice so far."""

    __slots__ = ("_calls", "_choice", "_reasoning", "_texts")

    def __init__(self) -> None:
        self._choice = Choice()
        self._texts: list[str] = []
        self._reasoning: list[str] = []
        self._calls: dict[int, tuple[str, str, list[str]]] = {}

    def add(self, event: Event) -> None:
        """The next event of this choice."""
        if isinstance(event, Text):
            self._texts.append(event.text)
            self._choice.logprobs.extend(event.logprobs)
        elif isinstance(event, Reasoning):
            self._reasoning.append(event.text)
        elif isinstance(event, CallStarted):
            self._calls[event.call] = (event.id, event.name, [])
        elif isinstance(event, CallArguments):
            self._calls[event.call][2].append(event.text)
        elif isinstance(event, Stopped):
            self._choice.reason, self._choice.stop = event.reason, event.stop

    def whole(self) -> Choice:
        """The choice that they make together."""
        choice = self._choice
        choice.text, choice.reasoning = "".join(self._texts), "".join(self._reasoning)
        choice.calls = [Call(id, name, "".join(text)) for _, (id, name, text) in sorted(self._calls.items())]
        return choice
