"""What is left of a caller's limits, as headers: RateLimit and RateLimit-Policy as the IETF drafts them, and those that
OpenAI's clients know."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import ceil

from penstock.core.quota import Quota, QuotaName
from penstock.protocols.http.message import Headers

_WHOLE: frozenset[QuotaName] = frozenset(("requests", "tokens", "concurrency"))
"""Limits that are counted; the others are USD, which are told to a thousandth."""
_OPENAI: dict[str, tuple[bytes, bytes, bytes]] = {
    name: (
        f"x-ratelimit-limit-{name}".encode(),
        f"x-ratelimit-remaining-{name}".encode(),
        f"x-ratelimit-reset-{name}".encode(),
    )
    for name in ("requests", "tokens")
}


def quota_headers(quotas: Sequence[Quota]) -> Headers:
    """The headers; none without limits."""
    if not quotas:
        return []
    policies, left, openai = [], [], []
    for quota in quotas:
        name, remaining, reset_s = quota.name, quota.remaining, max(0.0, quota.reset_s)
        limit, policy = _policy(name, quota.limit, quota.window_s)
        shown = b"%d" % max(0.0, remaining) if name in _WHOLE else _dollars(remaining)
        policies.append(policy)
        left.append(b'"%b";r=%b;t=%d' % (name.encode(), shown, ceil(reset_s)))
        if name in _OPENAI:
            names = _OPENAI[name]
            openai += [(names[0], limit), (names[1], shown), (names[2], b"%.3fs" % reset_s)]
    return [(b"ratelimit-policy", b", ".join(policies)), (b"ratelimit", b", ".join(left)), *openai]


@lru_cache(1024)
def _policy(name: QuotaName, limit: float, window_s: float) -> tuple[bytes, bytes]:
    """A limit by itself, and with its window: what stays the same from answer to answer."""
    shown = b"%d" % limit if name in _WHOLE else _dollars(limit)
    window = b";w=%d" % ceil(window_s) if window_s else b""
    return shown, b'"%b";q=%b%b' % (name.encode(), shown, window)


def _dollars(amount: float) -> bytes:
    """Never more than there is."""
    return b"%.3f" % (int(max(0.0, amount) * 1000 + 1e-6) / 1000)
