"""Who answered, why, and at what price: what answers say of themselves, in headers and in bodies."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from penstock.core.reply import Meta
from penstock.protocols.http.message import Headers
from penstock.protocols.quotas import quota_headers

_UNPRINTABLE = re.compile(rb"[^\x20-\x7e]+")


def provenance(meta: Meta) -> Headers:
    """X-Penstock-Model (model@version), and what else is known: -Route, -Reason, -Tries, -Degraded, -Cache (hit or
    miss) with Age (seconds), -Cost (USD), and what is left of the caller's limits."""
    headers: Headers = [_model_header(meta.model, meta.version)] if meta.model else []
    if meta.route:
        headers += _route_headers(meta)
    if meta.cache:
        headers.append((b"x-penstock-cache", meta.cache.encode()))
        if meta.cache == "hit":
            headers.append((b"age", b"%d" % meta.age_s))
    if meta.cost is not None:
        headers.append((b"x-penstock-cost", dollars(meta.cost).encode()))
    if meta.quotas:
        headers += quota_headers(meta.quotas)
    return headers


def _route_headers(meta: Meta) -> Headers:
    headers = [(b"x-penstock-route", _plain(meta.route)), (b"x-penstock-tries", b"%d" % meta.tries)]
    if meta.why:
        headers.append((b"x-penstock-reason", _plain(meta.why)))
    if meta.degraded:
        headers.append((b"x-penstock-degraded", _plain(meta.degraded)))
    return headers


def told(meta: Meta, request_id: str) -> dict[str, Any]:
    """The same for a body, under `penstock`, with the id that feedback names; nothing where no route answered and no
    cost is known."""
    if not meta.route and meta.cost is None:
        return {}
    found: dict[str, Any] = {"request": request_id, "model": answered_by(meta)}
    if meta.route:
        found |= {"route": meta.route, "reason": meta.why, "tries": meta.tries}
    if meta.degraded:
        found["degraded"] = meta.degraded
    if meta.cache:
        found["cache"] = meta.cache
    if meta.cost is not None:
        found["cost"] = round(meta.cost, 9)
    return {"penstock": found}


def answered_by(meta: Meta) -> str:
    """model@version; "" where an answer came without a model."""
    return f"{meta.model}@{meta.version}" if meta.version else meta.model


def dollars(cost: float) -> str:
    """USD, to a billionth, never in powers of ten.

    >>> dollars(0.00001250000001), dollars(0.0), dollars(2)
    ('0.0000125', '0', '2')
    """
    return f"{cost:.9f}".rstrip("0").rstrip(".")


@lru_cache(1024)
def _model_header(model: str, version: str) -> tuple[bytes, bytes]:
    return b"x-penstock-model", answered_by(Meta(model, version)).encode()


@lru_cache(1024)
def _plain(text: str) -> bytes:
    return _UNPRINTABLE.sub(b"?", text.encode())
