"""What the readers of an answer's text pass on to each other, and how they are chained."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol


class Said(NamedTuple):
    """Text of the answer. `start`: where it stood in all the text that the model wrote, in characters."""

    text: str
    start: int


class Thought(NamedTuple):
    """Text of the model's thoughts."""

    text: str


class Called(NamedTuple):
    """A whole tool call. `arguments`: a JSON object, as the model wrote it."""

    name: str
    arguments: str


class Met(NamedTuple):
    """A stop string was met: nothing after it counts."""

    stop: str


Part = Said | Thought | Called | Met


class Stage(Protocol):
    """Reads text as it comes and passes on parts; how the text was cut makes no difference to all parts together."""

    def feed(self, said: Said) -> list[Part]:
        """More text; what can be told by now."""

    def end(self, cut: bool = False) -> list[Part]:
        """What was held back, at the end of the text or before something that is not said. `cut`: there would have been
        more, had the length allowed it."""


def through(stages: Sequence[Stage], parts: Iterable[Part]) -> list[Part]:
    """What becomes of parts that go through these stages in order."""
    for stage in stages:
        parts = _fed(stage, parts)
    return list(parts)


def _fed(stage: Stage, parts: Iterable[Part]) -> list[Part]:
    out: list[Part] = []
    for part in parts:
        if isinstance(part, Said):
            out += stage.feed(part)
        else:
            out += stage.end()
            out.append(part)
        if out and isinstance(out[-1], Met):
            break
    return out


def ended(stages: Sequence[Stage], cut: bool = False) -> list[Part]:
    """What all stages held back, at the end of the text. `cut`: by the length."""
    parts: list[Part] = []
    for stage in stages:
        parts = _fed(stage, parts)
        if not (parts and isinstance(parts[-1], Met)):
            parts += stage.end(cut)
    return parts


def overlap(text: str, mark: str) -> int:
    """How many characters at the end of `text` may be the beginning of `mark`."""
    for length in range(min(len(mark) - 1, len(text)), 0, -1):
        if text.endswith(mark[:length]):
            return length
    return 0
