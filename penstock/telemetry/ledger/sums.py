"""Requests summed by the minute. Pure."""

from __future__ import annotations

from typing import Any

from penstock.core.ledger import Entry

SAME = ("tenant", "key", "name", "route", "model", "version", "status", "code", "cache", "degraded", "shadow")
"""What requests that are summed have in common, besides the time, and whether cost and premium are known."""
ADDED = (
    "tries", "rows", "prompt_tokens", "cached_tokens", "completion_tokens", "queue_s", "first_s", "total_s", "busy_s",
)  # fmt: skip
"""What is added up; cost and premium are too, where they are known."""
MANY = 10_000
"""Sums that are kept apart by the minute; with more of them, hours are all that is told apart."""

BY_MINUTE, BY_HOUR = "sum of a minute", "sum of an hour"
"""Why of rows that are sums."""

Sum = dict[str, Any]


class Sums:
    """Grows by one sum per minute and group until it is taken."""

    def __init__(self) -> None:
        self._sums: dict[tuple[Any, ...], Sum] = {}

    def __len__(self) -> int:
        return len(self._sums)

    def add(self, entry: Entry) -> None:
        """Adds a request. What a client made up (the name that nobody serves) does not tell sums apart."""
        step = 60 if len(self._sums) < MANY else 3600
        group = (
            entry.at // step * step, entry.tenant, entry.key, entry.name if entry.model else "", entry.route,
            entry.model, entry.version, entry.status, entry.code, entry.cache, entry.degraded,
            entry.shadow, entry.cost is None, entry.premium is None,
        )  # fmt: skip
        found = self._sums.get(group)
        if found is None:
            found = self._sums[group] = _empty(group)
        _grow(found, entry)

    def take(self, before: float) -> list[Sum]:
        """The sums of the time before that moment, by the names of `Entry` and `count`; they are gone from here."""
        groups = [group for group in self._sums if group[0] < before]
        return [self._sums.pop(group) for group in groups]

    def put(self, sums: list[Sum]) -> None:
        """Takes back what was taken."""
        for found in sums:
            group = (found["at"], *(found[name] for name in SAME), found["cost"] is None, found["premium"] is None)
            here = self._sums.setdefault(group, found)
            if here is not found:
                for name in ("count", *ADDED, "cost", "premium"):
                    here[name] = None if here[name] is None else here[name] + found[name]


def _empty(group: tuple[Any, ...]) -> Sum:
    at, *same, unpriced, unrivalled = group
    found: Sum = dict(zip(SAME, same, strict=True)) | dict.fromkeys(ADDED, 0)
    found |= {"id": "", "at": at, "why": BY_MINUTE, "count": 0}
    found |= {"cost": None if unpriced else 0.0, "premium": None if unrivalled else 0.0}
    return found


def _grow(found: Sum, entry: Entry) -> None:
    found["count"] += 1
    found["tries"] += entry.tries
    found["rows"] += entry.rows
    found["prompt_tokens"] += entry.prompt_tokens
    found["cached_tokens"] += entry.cached_tokens
    found["completion_tokens"] += entry.completion_tokens
    found["queue_s"] += entry.queue_s
    found["first_s"] += entry.first_s
    found["total_s"] += entry.total_s
    found["busy_s"] += entry.busy_s
    if entry.cost is not None:
        found["cost"] += entry.cost
    if entry.premium is not None:
        found["premium"] += entry.premium
