"""What is known of a request before anybody answers it."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

from penstock.core.generation import Generation, Message
from penstock.core.request import Hints, Request
from penstock.routing.policies.contract import Signals
from penstock.routing.settings import RouteSettings

TOKENS_PER_CHARACTER = 0.3
USUAL_ANSWER = 256
"""Tokens that an answer is expected to take when its request does not say."""
TELLING = 2000
"""Characters of a message that tell a conversation from others, with its length."""
NOTHING = Hints()


class Session(NamedTuple):
    """A conversation with a route. `key` names it, "" for none; `first`: this is its first question, for all that is
    known."""

    key: str = ""
    first: bool = True


class Judged(NamedTuple):
    """How likely a small model suffices (None: nobody can say), whether questions of this kind are known, and how
    likely is likely enough (None: as the policy has it)."""

    easy: float | None
    sure: bool
    threshold: float | None = None


UNJUDGED = Judged(None, False)
NOWHERE = Session()


def signals_of(
    request: Request, settings: RouteSettings, judged: Judged = UNJUDGED, session: Session = NOWHERE, floor: float = 0.0
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
        session=session.key,
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


def session_of(request: Request) -> Session:
    """What names a conversation: the caller's own word, else how it began. Those that begin alike are one to us."""
    hints, payload = request.hints or NOTHING, request.payload
    if hints.session:
        return Session(f"{request.tenant or ''}/{request.model}/{hints.session}", False)
    if not isinstance(payload, Generation) or not payload.messages:
        return NOWHERE
    first = not any(message.role == "assistant" for message in payload.messages)
    return Session(f"{request.tenant or ''}/{request.model}/{_began(payload.messages)}", first)


def _began(messages: Sequence[Message]) -> str:
    """A digest of a conversation up to the first thing that its user said."""
    digest = hashlib.blake2b(digest_size=12)
    for message in messages:
        text = message.content[:TELLING]
        digest.update(f"{message.role} {len(message.content)} {text}".encode(errors="replace"))
        if message.role == "user":
            break
    return digest.hexdigest()


class Sessions:
    """The quality that sessions have reached: it only rises. Bounded; the longest untouched make room."""

    def __init__(self, capacity: int = 100_000):
        self._capacity = capacity
        self._floors: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def floor(self, session: Session, now: float, sticky_s: float) -> float:
        """The least quality for a session's next answer; 0 for one that is new, or was silent for `sticky_s`: what it
        had reached is forgotten then."""
        found = self._floors.get(session.key) if session.key else None
        if found is None:
            return 0.0
        if now - found[1] > sticky_s:
            del self._floors[session.key]
            return 0.0
        # Others may have begun with the same words. What they reached is none of this one's, nor of its answer's key.
        return 0.0 if session.first else found[0]

    def reached(self, session: Session, quality: float, now: float) -> None:
        """A session's answer came from a model of this quality."""
        if session.key:
            before = self._floors.pop(session.key, (0.0, now))
            self._floors[session.key] = (max(before[0], quality), now)
            if len(self._floors) > self._capacity:
                self._floors.popitem(last=False)
