"""Which targets are left out because they failed too often just now. Pure.

Outlier ejection as Envoy does it: so many failures in a row eject a target for a time that grows with how often it was
ejected; never everybody. While it is out, one request in `probe_s` tries whether it is back, so that a target that
returns is used again within that time, however long it was away.
"""

from __future__ import annotations

import msgspec

MANY = 1_000_000


class BreakerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a target that fails is left out, and for how long."""

    failures: int = 5
    """Failures in a row after which a target is left out."""
    eject_s: float = 30.0
    """How long, times how often it was; seconds."""
    max_eject_s: float = 300.0
    """The longest time out, in seconds."""
    probe_s: float = 30.0
    """While it is out, one request in so many seconds tries it."""


class Breaker:
    """One target's failures. Moments are on the caller's clock, in seconds.

    When its time out is over it is on trial: one request at a time asks it, until one is answered. A failure then puts
    it out again.
    """

    __slots__ = ("_settings", "failures", "next_probe", "on_trial", "probing", "times", "until")

    def __init__(self, settings: BreakerSettings):
        self._settings = settings
        self.failures = 0
        self.times = 0
        self.until = 0.0
        self.next_probe = 0.0
        self.on_trial = False
        self.probing = False

    def ejected(self, now: float) -> bool:
        """Whether it is left out now."""
        return now < self.until or (self.on_trial and self.probing)

    def may_probe(self, now: float) -> bool:
        """Whether the next request may try a target that is out."""
        return self.on_trial and not self.probing and now >= self.next_probe

    def asked(self, now: float) -> None:
        """A request goes to it; where it is out or on trial, this is the one that tries it."""
        if self.on_trial and not self.probing:
            self.probing = True
            self.next_probe = now + self._settings.probe_s

    def spoke(self) -> None:
        """It has begun to answer: whoever was out is back. Failures in a row are only forgotten by a whole answer."""
        if self.on_trial:
            self.succeeded()

    def succeeded(self) -> None:
        """It answered: it is in again. What it did long ago is forgotten bit by bit."""
        self.failures = 0
        self.probing = False
        if self.on_trial:
            self.on_trial = False
            self.until = 0.0
            self.times = max(0, self.times - 1)

    def failed(self, now: float, *, retry_after_s: float | None = None, hopeless: bool = False) -> None:
        """It failed. `retry_after_s`: when it says that it may be asked again; `hopeless`: another try cannot heal
        it."""
        tried, self.probing = self.probing, False
        if self.on_trial and (not tried or now < self.until) and retry_after_s is None:
            # It was asked before it was put out, or tried before its time is over: it stays out as long as it was to.
            return
        self.failures += 1
        if retry_after_s is not None:
            self._eject(now, min(retry_after_s, self._settings.max_eject_s))
        elif hopeless or self.on_trial or self.failures >= self._settings.failures:
            self.times += 1
            self._eject(now, min(self.times * self._settings.eject_s, self._settings.max_eject_s))

    def abandoned(self) -> None:
        """Whoever tried it gave up without knowing."""
        self.probing = False

    def _eject(self, now: float, seconds: float) -> None:
        self.on_trial = True
        self.until = max(self.until, now + seconds)
        self.next_probe = min(self.until, now + self._settings.probe_s)
        self.failures = 0
