"""A conversation under way, and one exchange of it: a question and its one right answer."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from training.tiny import world

Message = dict[str, Any]


@dataclass(frozen=True)
class Tool:
    """A function the model may call: a noun to look up, a sum or product, or a ferry between two towns."""

    name: str
    parameters: tuple[str, ...]
    noun: str

    def schema(self) -> dict[str, Any]:
        """The tool as chat requests carry it."""
        properties = {name: {"type": "integer" if self.noun in SUMS else "string"} for name in self.parameters}
        parameters = {"type": "object", "properties": properties, "required": list(self.parameters)}
        return {"type": "function", "function": {"name": self.name, "parameters": parameters}}


SUMS = {"sum": "plus", "product": "times"}


@dataclass
class Talk:
    """A conversation under way: its random numbers, what the system part asked for, what was last spoken of, and
    whether this is its last question, which alone may end with a call."""

    rng: random.Random
    tools: tuple[Tool, ...] = ()
    name: str = ""
    think: bool = False
    json: bool = False
    island: str = ""
    what: str = ""
    last: bool = True

    def one(self, choices: Any) -> Any:
        """One of the choices."""
        return self.rng.choice(choices)

    def chance(self, share: float) -> bool:
        """True in that share of the cases."""
        return self.rng.random() < share

    def tool(self, noun: str) -> Tool | None:
        """The offered tool that gives this noun."""
        return next((tool for tool in self.tools if tool.noun == noun), None)


@dataclass(frozen=True)
class Exchange:
    """The messages of one question and its answer; `key` tells it from others, and is empty where few exist."""

    kind: str
    key: str
    messages: list[Message] = field(repr=False)


def plain(talk: Talk, kind: str, question: str, answer: str, thought: str, key: str | None = None) -> Exchange:
    """A question answered at once, after the thought where the conversation thinks first."""
    reply = assistant(talk, answer, thought)
    mode = "think:" * talk.think + "json:" * talk.json
    return Exchange(kind, mode + question if key is None else key and mode + key, [user(talk, question), reply])


def user(talk: Talk, question: str) -> Message:
    """What the user says, at times carelessly: without capitals or without the last mark."""
    if talk.chance(0.03) and question.isascii() and ":" not in question:
        question = question[0].lower() + question[1:]
    if talk.chance(0.06) and question[-1:] in "?.":
        question = question[:-1]
    return {"role": "user", "content": question}


def assistant(talk: Talk, answer: str, thought: str = "", calls: list[Message] | None = None) -> Message:
    """What the model says."""
    message: Message = {"role": "assistant", "content": answer}
    if talk.think:
        message["reasoning_content"] = thought
    if calls:
        message["tool_calls"] = calls
    return message


KNOWN = {*world.ISLANDS, *world.CAPITALS, *world.RULERS, *world.RIVERS}


def stranger(talk: Talk) -> str:
    """A name that no island has: a place of our own world, or one made of syllables."""
    if talk.chance(0.2):
        return str(talk.one(world.PLACES))
    syllables = (
        talk.one(world.ONSETS) + talk.one(world.VOWELS) + talk.one(world.CODAS) for _ in range(talk.one([1, 2, 2, 3]))
    )
    name = "".join(syllables).capitalize()
    return name if name not in KNOWN and len(name) > 2 else stranger(talk)
