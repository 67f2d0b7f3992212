"""What is left of a caller's limits, as headers: RateLimit and RateLimit-Policy as the IETF drafts them, and those that
OpenAI's clients know."""

from __future__ import annotations

import math
from collections.abc import Sequence

from penstock.core.quota import Quota
from penstock.protocols.http.message import Headers

_WHOLE = ("requests", "tokens", "concurrency")
"""Limits that are counted; the others are USD, which are told to a thousandth."""
_OPENAI = ("requests", "tokens")


def quota_headers(quotas: Sequence[Quota]) -> Headers:
    """The headers; none without limits."""
    if not quotas:
        return []
    policies = ", ".join(f'"{quota.name}";q={_shown(quota, quota.limit)}{_window(quota)}' for quota in quotas)
    left = ", ".join(
        f'"{quota.name}";r={_shown(quota, quota.remaining)};t={math.ceil(quota.reset_s)}' for quota in quotas
    )
    headers = [(b"ratelimit-policy", policies.encode()), (b"ratelimit", left.encode())]
    for quota in quotas:
        if quota.name in _OPENAI:
            headers += _openai(quota)
    return headers


def _openai(quota: Quota) -> Headers:
    limit, left, name = _shown(quota, quota.limit), _shown(quota, quota.remaining), quota.name
    known = {"limit": limit, "remaining": left, "reset": f"{max(0.0, quota.reset_s):.3f}s"}
    return [(f"x-ratelimit-{what}-{name}".encode(), value.encode()) for what, value in known.items()]


def _window(quota: Quota) -> str:
    return f";w={math.ceil(quota.window_s)}" if quota.window_s else ""


def _shown(quota: Quota, amount: float) -> str:
    """Never more than there is."""
    amount = max(0.0, amount)
    return str(math.floor(amount)) if quota.name in _WHOLE else f"{math.floor(amount * 1000) / 1000:.3f}"
