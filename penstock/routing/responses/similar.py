"""Answers to questions that mean the same, found by embeddings. Off unless a route asks for it.

Two questions are compared only where everything else of their requests is equal: the route, the tenant, the turns
before, the sampling, the tools. And however alike they look, numbers and negations must be the same: to an embedding
"flights in 2024" and "flights in 2025" mean nearly one thing.
"""

from __future__ import annotations

import math
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from penstock.core.generation import Generation
from penstock.core.request import Request

Vector = npt.NDArray[np.float32]
Embed = Callable[[Request, str], Awaitable[Vector | None]]
"""A text's embedding, for a request; None when there is none in time."""

KEPT = 4096
"""Questions that are compared with; the oldest make room."""
LONGEST = 2000
"""Characters of a question; longer ones are compared exactly alone."""
_TELLING = re.compile(r"\d+(?:[.,:/-]\d+)*|\b(?:no|not|never|none|without|except|cannot)\b|n't\b|n’t\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Question:
    """A question with what it is found by. `context`: digest of all else of its request; `telling`: its numbers and
    negations."""

    context: bytes
    vector: Vector
    telling: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Match:
    """The key of the answer to a similar question. `cosine`: how similar, up to 1."""

    key: bytes
    cosine: float


def asked(generation: Generation) -> str:
    """The question of a request: what the user said last, or the prompt; "" where there is none to compare."""
    if isinstance(generation.prompt, str):
        text = generation.prompt
    else:
        last = generation.messages[-1] if generation.messages else None
        text = last.content if last is not None and last.role == "user" else ""
    return text if len(text) <= LONGEST else ""


def without(generation: Generation) -> Generation:
    """The same request without its question."""
    if generation.prompt is not None:
        return msgspec.structs.replace(generation, prompt="")
    *before, last = generation.messages
    return msgspec.structs.replace(generation, messages=(*before, msgspec.structs.replace(last, content="")))


def telling(text: str) -> tuple[str, ...]:
    """The numbers and negations of a text, in order."""
    return tuple(found.lower() for found in _TELLING.findall(text))


class Group:
    """Questions that may be compared with each other: their vectors, one per row."""

    def __init__(self, dimensions: int):
        self.keys: list[bytes] = []
        self._rows = np.empty((8, dimensions), np.float32)

    def add(self, key: bytes, vector: Vector) -> None:
        """One more."""
        count = len(self.keys)
        if count == len(self._rows):
            self._rows = np.concatenate([self._rows, np.empty_like(self._rows)])
        self._rows[count] = vector
        self.keys.append(key)

    def remove(self, key: bytes) -> None:
        """One less; the last takes its row."""
        place, last = self.keys.index(key), self.keys.pop()
        if last != key:
            self.keys[place] = last
            self._rows[place] = self._rows[len(self.keys)]

    def nearest(self, vector: Vector) -> Match:
        """The most similar of them."""
        cosines = self._rows[: len(self.keys)] @ vector
        best = int(np.argmax(cosines))
        return Match(self.keys[best], float(cosines[best]))


class Similar:
    """The questions that were answered, in this process. `least`: the cosine from which two mean the same."""

    def __init__(self, embed: Embed, least: float, capacity: int = KEPT):
        self._embed = embed
        self._least = least
        self._capacity = capacity
        self._groups: dict[tuple[Any, ...], Group] = {}
        self._order: OrderedDict[bytes, tuple[Any, ...]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._order)

    async def question(self, request: Request, context: bytes, text: str) -> Question | None:
        """What a question is found by; None when it cannot be embedded."""
        vector = await self._embed(request, text)
        if vector is None or not 0 < (size := float(np.linalg.norm(vector))) < math.inf:
            return None
        return Question(context, vector / size, telling(text))

    def nearest(self, question: Question) -> Match | None:
        """The most similar question that was answered, if it is similar enough."""
        group = self._groups.get(_alike(question))
        match = None if group is None else group.nearest(question.vector)
        return match if match is not None and match.cosine >= self._least else None

    def add(self, key: bytes, question: Question) -> None:
        """A question was answered; the answer is kept under the key."""
        self.forget(key)
        while len(self._order) >= self._capacity:
            self.forget(next(iter(self._order)))
        alike = _alike(question)
        if alike not in self._groups:
            self._groups[alike] = Group(len(question.vector))
        self._groups[alike].add(key, question.vector)
        self._order[key] = alike

    def forget(self, key: bytes) -> None:
        """An answer is not kept any more."""
        alike = self._order.pop(key, None)
        if alike is not None:
            group = self._groups[alike]
            group.remove(key)
            if not group.keys:
                del self._groups[alike]


def _alike(question: Question) -> tuple[Any, ...]:
    """What two questions must share to be compared."""
    return question.context, question.telling, len(question.vector)
