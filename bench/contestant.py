"""What a contestant is: one server, one request to it, and how to tell a right answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from bench.http import Answer
from bench.wrk import Request, Stream


class Absent(Exception):
    """This contestant cannot take part; the message is the reason for the table."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """`argv` and `request` are asked with the port; `problem` says what is wrong with an answer, or None.

    `traffic`: what each load sends in place of the request, the warm-up's first; the request then is the probe
    before and after it. `warm_up`: its connections and seconds. `patience_s`: how long it may take to its first answer.
    """

    name: str
    note: str
    argv: Callable[[int], list[str]]
    request: Callable[[int], Request]
    problem: Callable[[Answer], str | None]
    env: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    traffic: Iterator[Stream] | None = None
    warm_up: tuple[int, float] = (8, 1.0)
    patience_s: float = 60.0

    def load(self) -> Stream | None:
        """What the next load sends, where it is not the request."""
        return None if self.traffic is None else next(self.traffic)

    def verdict(self, answer: Answer) -> str | None:
        """`problem`, where an answer that cannot even be read is a problem too."""
        try:
            return self.problem(answer)
        except (ValueError, LookupError, TypeError) as error:
            return f"unreadable answer ({error!r}): {answer.body[:200]!r}"
