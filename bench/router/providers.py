"""Two providers on real sockets, whose answers are right or wrong as the labels say."""

from __future__ import annotations

from collections.abc import Iterable

from bench.router.traffic import Question
from penstock.fakes.calls import Answer, Call
from penstock.fakes.openai import FakeOpenAI
from penstock.fakes.speech import Said

RIGHT, WRONG = "This is right.", "This is wrong."


class Labelled(FakeOpenAI):
    """Says whether it is right, then talks on for `length` words."""

    def __init__(self, right: dict[str, float], length: int):
        super().__init__()
        talk = " so" * length
        self._right = {text: Said((RIGHT if known else WRONG) + talk) for text, known in right.items()}

    def answer(self, call: Call) -> Answer:
        """By the label of what was asked last."""
        self.said = self._right[call.json["messages"][-1]["content"]]
        return super().answer(call)


def small(known: Iterable[Question], length: int = 60) -> Labelled:
    """The small model."""
    return Labelled({question.text: question.small for question in known}, length)


def large(known: Iterable[Question], length: int = 60) -> Labelled:
    """The large one."""
    return Labelled({question.text: question.large for question in known}, length)
