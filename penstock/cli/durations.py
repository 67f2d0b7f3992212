"""Spans of time as people write them: 90m, 24h, 30d; and dates."""

from __future__ import annotations

import re
from datetime import datetime

from penstock.core.errors import ConfigError

_SPAN = re.compile(r"(\d{1,6})([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def seconds(text: str) -> float:
    """The seconds of a span such as 24h. Raises `ConfigError`."""
    found = _SPAN.fullmatch(text.strip().lower())
    if found is None:
        raise ConfigError(f"{text[:40]!r} is no span of time such as 90m, 24h or 30d")
    return float(found.group(1)) * _SECONDS[found.group(2)]


def moment(text: str, now: float) -> float:
    """The Unix time of a date such as 2030-12-31, its beginning here, or of a span from now. Raises `ConfigError`."""
    if _SPAN.fullmatch(text.strip().lower()):
        return now + seconds(text)
    try:
        return datetime.fromisoformat(text.strip()).timestamp()
    except (ValueError, OverflowError):
        raise ConfigError(f"{text[:40]!r} is no date such as 2030-12-31, and no span of time such as 30d") from None


def in_words(at: float | None) -> str:
    """A moment as people here read it, to the minute; nothing for none."""
    return "" if at is None else datetime.fromtimestamp(at).strftime("%Y-%m-%d %H:%M")
