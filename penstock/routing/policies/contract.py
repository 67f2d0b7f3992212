"""What a policy sees and says. Policies are pure: the present, its state and chance are arguments."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Protocol

import msgspec


class Signals(msgspec.Struct, frozen=True):
    """What is known of a request before anybody answers it. Sizes are tokens (estimated), times seconds, money USD.

    `text`: what the user said last ("" for tensors); `budget`: the most it may cost; `max_latency_s`: the longest it
    may take; `quality`: 0 (anything) to 1 (the best), None where nothing was said; `session`: what sticks together;
    `floor`: the least quality that its session has reached; `pin`: the model that the caller names.

    `easy`: the calibrated probability that a small model suffices, None where nobody estimated it; `sure`: whether the
    estimate is to be trusted: it knows questions of this kind; `threshold`: what `easy` has to reach, None where the
    policy's own holds.
    """

    prompt_tokens: int = 0
    answer_tokens: int = 0
    text: str = ""
    budget: float | None = None
    max_latency_s: float | None = None
    quality: float | None = None
    session: str = ""
    floor: float = 0.0
    pin: str = ""
    easy: float | None = None
    sure: bool = True
    threshold: float | None = None


class Candidate(msgspec.Struct, frozen=True):
    """A model that could answer, as it stands now.

    `weight`: its share. `quality`: 0 to 1, as configured. `cost`: USD expected for this very request. `latency_s`:
    expected, to the last token (None: nothing is known yet). `busy`: running and waiting requests per place (0: idle,
    1: full). `context`: tokens (0: not bounded). `ready`: whether it takes requests; `ejected`: whether it failed too
    often just now.
    """

    name: str
    weight: float = 1.0
    quality: float = 0.5
    cost: float = 0.0
    latency_s: float | None = None
    busy: float = 0.0
    context: int = 0
    ready: bool = True
    ejected: bool = False


class Decision(msgspec.Struct, frozen=True):
    """Who is asked, in order (never empty), and why the first: a few words in ASCII."""

    order: tuple[Candidate, ...]
    why: str


class Policy(Protocol):
    """Puts candidates, of which there is at least one, in order."""

    def choose(self, signals: Signals, candidates: Sequence[Candidate], rng: random.Random) -> Decision: ...
