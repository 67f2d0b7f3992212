"""What ended requests took and cost, counted for the metrics page before the ledger gets them."""

from __future__ import annotations

from typing import NamedTuple

from penstock.core.ledger import Entry, Feedback, Ledger


class Group(NamedTuple):
    """What counted requests have in common; all of it comes from the configuration or from this program, never from a
    client."""

    route: str
    model: str
    code: str
    cache: str
    degraded: str


class Totals:
    """Of one group, since start. `cost` and `premium`: USD, of those with a price; `unpriced`: answers without one."""

    __slots__ = (
        "cached_tokens",
        "completion_tokens",
        "cost",
        "premium",
        "prompt_tokens",
        "requests",
        "tries",
        "unpriced",
    )

    def __init__(self) -> None:
        self.requests = self.tries = self.unpriced = 0
        self.prompt_tokens = self.cached_tokens = self.completion_tokens = 0
        self.cost = self.premium = 0.0


class Counted:
    """A ledger that counts, then hands on to the one behind it (None: nothing is kept)."""

    def __init__(self, ledger: Ledger | None = None):
        self.totals: dict[Group, Totals] = {}
        self.scores: dict[str, tuple[int, float]] = {}
        self._ledger = ledger

    def record(self, entry: Entry) -> None:
        """Counts an entry, and hands it on."""
        group = (entry.route, entry.model, entry.code, entry.cache, entry.degraded)
        totals = self.totals.get(group)  # type: ignore[call-overload]
        if totals is None:
            totals = self.totals[Group(*group)] = Totals()
        totals.requests += 1
        totals.tries += entry.tries
        totals.prompt_tokens += entry.prompt_tokens
        totals.cached_tokens += entry.cached_tokens
        totals.completion_tokens += entry.completion_tokens
        if entry.cost is not None:
            totals.cost += entry.cost
        elif entry.status == 200:
            totals.unpriced += 1
        if entry.premium is not None:
            totals.premium += entry.premium
        if self._ledger is not None:
            self._ledger.record(entry)

    def feedback(self, feedback: Feedback) -> None:
        """Counts a score, and hands it on."""
        count, total = self.scores.get(feedback.source, (0, 0.0))
        self.scores[feedback.source] = count + 1, total + feedback.score
        if self._ledger is not None:
            self._ledger.feedback(feedback)
