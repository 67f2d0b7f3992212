"""How many retries may be on their way at once, over all routes: retries must not become the overload. Pure."""

from __future__ import annotations

import random

import msgspec


class RetrySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Asking again after a failure."""

    tries: int = 2
    """How often one model is asked at most, before the route goes on to the next."""
    share: float = 0.2
    """Retries that may be on their way at once, as a share of the requests in flight ..."""
    least: int = 3
    """... and at least so many."""
    backoff_ms: float = 50.0
    """The pause before the first retry; it doubles, and chance takes up to all of it away."""
    max_backoff_ms: float = 2000.0
    """The longest pause."""


class RetryBudget:
    """Shared by all requests of a server."""

    def __init__(self, settings: RetrySettings):
        self.settings = settings
        self.active = 0
        self.retrying = 0

    def take(self) -> bool:
        """A place for one retry, to be given back by `give`; False when there is none."""
        if self.retrying >= max(self.settings.least, int(self.settings.share * self.active)):
            return False
        self.retrying += 1
        return True

    def give(self) -> None:
        """A retry has ended."""
        self.retrying -= 1

    def pause(self, retry: int, rng: random.Random) -> float:
        """Seconds before the retry of that number (0: the first): exponential with full jitter (Brooker, AWS, 2015)."""
        longest = min(self.settings.max_backoff_ms, self.settings.backoff_ms * 2.0**retry)
        return rng.uniform(0.0, longest) / 1000
