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
    """One target's failures. Moments are on the caller's clock, in seconds."""

    __slots__ = ("_out_at", "_settings", "failures", "next_probe", "probing", "times", "until")

    def __init__(self, settings: BreakerSettings):
        self._settings = settings
        self.failures = 0
        self.times = 0
        self.until = 0.0
        self.next_probe = 0.0
        self.probing = False

    def ejected(self, now: float) -> bool:
        """Whether it is left out now."""
        return now < self.until

    def may_probe(self, now: float) -> bool:
        """Whether the next request may try a target that is out."""
        return self.ejected(now) and not self.probing and now >= self.next_probe

    def probe(self, now: float) -> None:
        """A request tries it; the next one has to wait."""
        self.probing = True
        self.next_probe = now + self._settings.probe_s

    def succeeded(self, now: float) -> None:
        """It answered: it is in again. What it did long ago is forgotten bit by bit."""
        self.failures = 0
        self.probing = False
        if self.until:
            self.until = 0.0
            self.times = max(0, self.times - 1)

    def failed(self, now: float, *, retry_after_s: float | None = None, hopeless: bool = False) -> None:
        """It failed. `retry_after_s`: when it says that it may be asked again; `hopeless`: another try cannot heal
        it."""
        self.probing = False
        self.failures += 1
        if retry_after_s is not None:
            self._eject(now, min(retry_after_s, self._settings.max_eject_s))
        elif hopeless or self.failures >= self._settings.failures:
            self.times += 1
            self._eject(now, min(self.times * self._settings.eject_s, self._settings.max_eject_s))

    def abandoned(self) -> None:
        """Whoever tried it gave up without knowing."""
        self.probing = False

    def _eject(self, now: float, seconds: float) -> None:
        self.until = max(self.until, now + seconds)
        self.next_probe = min(self.until, now + self._settings.probe_s)
        self.failures = 0
