"""How the models behind routes do: failures, answering times, requests under way."""

from __future__ import annotations

from collections.abc import Iterator

from penstock.core.errors import PenstockError, ProviderRefused, ProviderThrottled
from penstock.core.reply import Meta
from penstock.routing.failure.breaker import Breaker, BreakerSettings
from penstock.routing.failure.verdicts import blames

WEIGHT = 0.1
"""Of the newest request in the moving average of answering times."""


class Member:
    """One model as routes see it, whichever of them asks."""

    __slots__ = ("answers", "breaker", "failures", "in_flight", "latency_s", "name")

    def __init__(self, name: str, settings: BreakerSettings):
        self.name = name
        self.breaker = Breaker(settings)
        self.latency_s: float | None = None
        self.in_flight = 0
        self.answers = self.failures = 0

    def took(self, seconds: float) -> None:
        """An answer took so long."""
        self.latency_s = seconds if self.latency_s is None else self.latency_s + WEIGHT * (seconds - self.latency_s)


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
        """A request goes to it; where it is out, this is the one that tries it."""
        member = self.of(target)
        member.in_flight += 1
        if member.breaker.ejected(now):
            member.breaker.probe(now)

    def answered(self, target: str, meta: Meta, now: float) -> None:
        """It has answered well."""
        member = self.of(target)
        member.in_flight -= 1
        member.answers += 1
        member.breaker.succeeded(now)
        member.took(meta.total_s or meta.queue_s + meta.batch_s + meta.compute_s)

    def failed(self, target: str, error: PenstockError, now: float) -> None:
        """It has answered with an error, or not at all."""
        member = self.of(target)
        member.in_flight -= 1
        if not blames(error):
            member.breaker.abandoned()
            return
        member.failures += 1
        wait = error.retry_after_s if isinstance(error, ProviderThrottled) else None
        member.breaker.failed(now, retry_after_s=wait, hopeless=isinstance(error, ProviderRefused))

    def left(self, target: str) -> None:
        """Nobody waits for its answer any more."""
        member = self.of(target)
        member.in_flight -= 1
        member.breaker.abandoned()
