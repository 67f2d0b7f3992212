"""What is known of a request before anybody answers it."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import NamedTuple

from penstock.core.generation import Generation
from penstock.core.request import Hints, Request
from penstock.routing.policies.contract import Signals
from penstock.routing.settings import RouteSettings

TOKENS_PER_CHARACTER = 0.3
USUAL_ANSWER = 256
"""Tokens that an answer is expected to take when its request does not say."""
NOTHING = Hints()


class Judged(NamedTuple):
    """How likely a small model suffices (None: nobody can say), whether questions of this kind are known, and how
    likely is likely enough (None: as the policy has it)."""

    easy: float | None
    sure: bool
    threshold: float | None = None


UNJUDGED = Judged(None, False)


def signals_of(
    request: Request, settings: RouteSettings, judged: Judged = UNJUDGED, session: str = "", floor: float = 0.0
) -> Signals:
    """The signals of a request to a route. `floor`: the quality that its session has reached."""
    hints, payload = request.hints or NOTHING, request.payload
    prompt, answer = _sizes(payload) if isinstance(payload, Generation) else (0, 0)
    return Signals(
        prompt_tokens=prompt,
        answer_tokens=answer,
        text=question_of(request),
        budget=_budget(hints, settings),
        max_latency_s=hints.max_latency_s,
        quality=hints.quality,
        session=session,
        floor=floor,
        pin=hints.pin,
        easy=judged.easy,
        sure=judged.sure,
        threshold=judged.threshold,
    )


def _budget(hints: Hints, settings: RouteSettings) -> float | None:
    if hints.budget == "premium":
        return settings.premium if settings.premium is not None else float("inf")
    return hints.budget if isinstance(hints.budget, float) else None


def question_of(request: Request) -> str:
    """What the user said last; "" where that is no text."""
    payload = request.payload
    if not isinstance(payload, Generation):
        return ""
    if payload.prompt is not None:
        return payload.prompt if isinstance(payload.prompt, str) else ""
    return next((message.content for message in reversed(payload.messages) if message.role == "user"), "")


def _sizes(generation: Generation) -> tuple[int, int]:
    """Tokens of the prompt and of the answer, by estimate."""
    prompt = generation.prompt
    if isinstance(prompt, tuple):
        size = len(prompt)
    else:
        characters = len(prompt or "") + sum(len(message.content) for message in generation.messages)
        size = int(characters * TOKENS_PER_CHARACTER) + 1
    return size, generation.choices * (generation.sampling.max_tokens or USUAL_ANSWER)


def session_of(request: Request) -> str:
    """What names a conversation with a route: the caller's own word, else how it began; "" for a first question."""
    hints, payload = request.hints or NOTHING, request.payload
    if hints.session:
        return f"{request.tenant or ''}/{request.model}/{hints.session}"
    if not isinstance(payload, Generation) or len(payload.messages) < 3:
        return ""
    began = next((message.content for message in payload.messages if message.role == "user"), "")
    return f"{request.tenant or ''}/{request.model}/{hashlib.blake2b(began.encode(), digest_size=12).hexdigest()}"


class Sessions:
    """The quality that sessions have reached: it only rises. Bounded; the longest untouched make room."""

    def __init__(self, capacity: int = 100_000):
        self._capacity = capacity
        self._floors: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def floor(self, session: str, now: float, sticky_s: float) -> float:
        """The least quality for a session's next answer; 0 for one that is new, or was silent for `sticky_s`."""
        found = self._floors.get(session) if session else None
        return found[0] if found is not None and now - found[1] <= sticky_s else 0.0

    def reached(self, session: str, quality: float, now: float) -> None:
        """A session's answer came from a model of this quality."""
        if session:
            before = self._floors.pop(session, (0.0, now))
            self._floors[session] = (max(before[0], quality), now)
            if len(self._floors) > self._capacity:
                self._floors.popitem(last=False)
