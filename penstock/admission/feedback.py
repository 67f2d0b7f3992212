"""How much feedback a tenant may give: it costs nothing, so none of the limits on requests counts it."""

from __future__ import annotations

from penstock.admission.limits.rate import Rate
from penstock.core.clock import Clock
from penstock.core.errors import QuotaExceeded

BURST_S = 10.0
"""So many seconds' worth of it may come at once."""


class FeedbackRate:
    """So much a minute for each tenant; tenants are those of keys, so there are few."""

    def __init__(self, per_minute: int, clock: Clock):
        self._per_minute = per_minute
        self._clock = clock
        self._rates: dict[str, Rate] = {}

    def __call__(self, tenant: str) -> None:
        """Counts one. Raises `QuotaExceeded` for one too many."""
        rate = self._rates.get(tenant)
        if rate is None:
            rate = self._rates[tenant] = Rate(self._per_minute, BURST_S)
        now = self._clock()
        if wait_s := rate.wait(1, now):
            allowed = f"feedback is taken {self._per_minute} times a minute from a tenant"
            raise QuotaExceeded(f"{allowed}; try again in a moment", retry_after_s=wait_s)
        rate.take(1, now)
