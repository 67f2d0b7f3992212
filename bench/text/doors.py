"""How each server takes a text and gives its embedding."""

from __future__ import annotations

import json
from dataclasses import dataclass

from bench.contestant import Contestant
from bench.http import Answer
from bench.text import checks
from bench.text.material import Material, Vectors
from bench.wrk import Request

_HEADERS = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class Door:
    """`body`: JSON around the text, which stands as %s. `read`: from the answer to the embedding."""

    path: str
    body: str
    read: checks.Reader

    def request(self, text: str) -> Request:
        """One text."""
        return Request(self.path, _HEADERS, (self.body % json.dumps(text)).encode())

    def similarity(self, answer: Answer, expected: Vectors) -> float:
        """The cosine of the answer with the expected embedding. Raises `ValueError` when it is no embedding."""
        return checks.similarity(answer, self.read, expected)

    def problem(self, answer: Answer, material: Material, least: float) -> str | None:
        """What is wrong with the answer to the first probe, or None."""
        return checks.close(answer, self.read, material.references[0], least)


@dataclass(frozen=True, slots=True)
class Entrant:
    """A contestant, its door, and the least cosine that its answers must have with torch's."""

    contestant: Contestant
    door: Door
    least: float


PLAIN = Door("/embed", '{"text": %s}', checks.plain)
OPENAI = Door("/v1/embeddings", '{"model": "minilm", "input": %s}', checks.openai_floats)
BASE64 = Door("/v1/embeddings", '{"model": "minilm", "input": %s, "encoding_format": "base64"}', checks.openai_base64)
UNVERSIONED = Door("/embeddings", OPENAI.body, checks.openai_floats)
