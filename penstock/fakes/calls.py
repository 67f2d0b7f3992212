"""What a fake provider was asked, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import msgspec


@dataclass(frozen=True, slots=True)
class Call:
    """One request that came in. `path`: with its query, as it was sent; header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return msgspec.json.decode(self.body)


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back. Several `parts` go out one by one, as chunks of a stream; `streamed`: so does a single one."""

    parts: Sequence[bytes]
    content_type: str = "application/json"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    streamed: bool = False


def json_answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """A JSON document as an answer; its quarters are the parts."""
    text = msgspec.json.encode(value)
    cuts = [len(text) * quarter // 4 for quarter in range(5)]
    parts = [text[start:end] for start, end in pairwise(cuts)]
    return Answer(parts, status=status, headers=headers or {})


def sse_answer(parts: Sequence[bytes]) -> Answer:
    """Server-sent events as an answer; each part is one or more whole events."""
    return Answer(parts, "text/event-stream", streamed=True)
