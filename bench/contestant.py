"""What a contestant is: one server, one request to it, and how to tell a right answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from bench.http import Answer
from bench.wrk import Request


class Absent(Exception):
    """This contestant cannot take part; the message is the reason for the table."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """`argv` and `request` are asked with the port; `problem` says what is wrong with an answer, or None."""

    name: str
    note: str
    argv: Callable[[int], list[str]]
    request: Callable[[int], Request]
    problem: Callable[[Answer], str | None]
    env: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    def verdict(self, answer: Answer) -> str | None:
        """`problem`, where an answer that cannot even be read is a problem too."""
        try:
            return self.problem(answer)
        except (ValueError, LookupError, TypeError) as error:
            return f"unreadable answer ({error!r}): {answer.body[:200]!r}"
