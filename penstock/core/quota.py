"""What is left of a caller's own limits, as doors tell it."""

from __future__ import annotations

from typing import Literal

import msgspec

QuotaName = Literal["requests", "tokens", "cost", "concurrency", "budget-day", "budget-month"]


class Quota(msgspec.Struct, frozen=True, gc=False):
    """One limit and what is left of it: requests, tokens, or USD (cost, budgets).

    `limit` holds for `window_s` seconds (0: at any moment). `reset_s`: seconds until all of it is there again.
    """

    name: QuotaName
    limit: float
    remaining: float
    reset_s: float
    window_s: float
