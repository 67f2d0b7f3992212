"""How the models behind routes do: failures, answering times, requests under way."""

from __future__ import annotations

from collections.abc import Iterator

from penstock.core.errors import DeadlineExceeded, PenstockError, ProviderRefused, ProviderThrottled
from penstock.routing.failure.breaker import Breaker, BreakerSettings
from penstock.routing.failure.verdicts import blames

WEIGHT = 0.1
"""Of the newest request in the moving average of answering times."""
SILENCE_S = 0.5
FORGET_S = 60.0
"""A model that was not asked for so long may have become faster: what was measured then says nothing."""


class Member:
    """One model as routes see it, whichever of them asks."""

    __slots__ = ("_latency_s", "_measured", "answers", "breaker", "busy_s", "failures", "in_flight", "name")

    def __init__(self, name: str, settings: BreakerSettings):
        self.name = name
        self.breaker = Breaker(settings)
        self._latency_s: float | None = None
        self._measured = 0.0
        self.busy_s = 0.0
        self.in_flight = 0
        self.answers = self.failures = 0

    @property
    def usual_s(self) -> float:
        """Seconds that its answers took when they were last measured; 0 where nothing is known."""
        return self._latency_s or 0.0

    def latency_s(self, now: float) -> float | None:
        """Expected seconds to a whole answer; None where nothing is known, or not any more."""
        return None if now - self._measured > FORGET_S else self._latency_s

    def took(self, seconds: float, busy_s: float, now: float) -> None:
        """An answer took so long, and kept a worker busy for `busy_s` of it."""
        before = self.latency_s(now)
        self._latency_s = seconds if before is None else before + WEIGHT * (seconds - before)
        self.busy_s = busy_s if before is None else self.busy_s + WEIGHT * (busy_s - self.busy_s)
        self._measured = now


def _long(member: Member) -> float:
    """Seconds of silence for which a model is to blame, and not whoever had no more time."""
    return max(SILENCE_S, 3 * member.usual_s)


class Pool:
    """All of them, by name. Pure: moments are arguments."""

    def __init__(self, settings: BreakerSettings):
        self._settings = settings
        self._members: dict[str, Member] = {}

    def __iter__(self) -> Iterator[Member]:
        return iter(self._members.values())

    def of(self, name: str) -> Member:
        """The member of that name: a model, or model@version."""
        member = self._members.get(name)
        if member is None:
            member = self._members[name] = Member(name, self._settings)
        return member

    # --- what an attempt reports

    def asked(self, target: str, now: float) -> None:
        """A request goes to it."""
        member = self.of(target)
        member.in_flight += 1
        member.breaker.asked(now)

    def spoke(self, target: str) -> None:
        """It has begun to answer: it is there."""
        self.of(target).breaker.spoke()

    def answered(self, target: str, seconds: float, busy_s: float, now: float) -> None:
        """It has answered well, and took so long."""
        member = self.of(target)
        member.in_flight -= 1
        member.answers += 1
        member.breaker.succeeded()
        member.took(seconds, busy_s, now)

    def failed(self, target: str, error: PenstockError, now: float, waited_s: float = 0.0) -> None:
        """It has answered with an error, or not at all in `waited_s` seconds."""
        member = self.of(target)
        member.in_flight -= 1
        if not blames(error) and not (isinstance(error, DeadlineExceeded) and waited_s > _long(member)):
            member.breaker.abandoned()
            return
        member.failures += 1
        wait = error.retry_after_s if isinstance(error, ProviderThrottled) else None
        member.breaker.failed(now, retry_after_s=wait, hopeless=isinstance(error, ProviderRefused))
