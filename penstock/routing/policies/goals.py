"""Policies with a goal: a latency to hold at the least cost, a budget to hold at the best quality."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence

from penstock.routing.policies.contract import Candidate, Decision, Signals

TRY_SHARE = 0.02
"""Requests that go to whoever nothing is known of, so that something becomes known."""


class Latency:
    """The cheapest of those that are expected to answer within the target; else the fastest."""

    def __init__(self, target_s: float):
        self.target_s = target_s

    def choose(self, signals: Signals, candidates: Sequence[Candidate], rng: random.Random) -> Decision:
        """The request's own limit goes before the route's target. Who was never measured counts as in time, and is
        tried by a few."""
        target = self.target_s if signals.max_latency_s is None else signals.max_latency_s
        unknown = [candidate for candidate in candidates if candidate.latency_s is None]
        if unknown and (len(unknown) == len(candidates) or rng.random() < TRY_SHARE):
            return _first(rng.choice(unknown), candidates, "not measured yet")
        fast = [c for c in candidates if c.latency_s is not None and c.latency_s <= target]
        if fast:
            best = min(fast, key=lambda c: (c.cost, c.latency_s or 0.0))
            return _first(best, candidates, f"cheapest within {target:g} s")
        fastest = min(candidates, key=_latency)
        return _first(fastest, candidates, f"fastest, none within {target:g} s")


class Cost:
    """The best that the budget allows: of equal quality the cheapest. `premium`: USD a request may cost where the
    caller wants "premium"; `standard`: where he wants nothing special."""

    def __init__(self, standard: float | None = None):
        self.standard = standard

    def choose(self, signals: Signals, candidates: Sequence[Candidate], rng: random.Random) -> Decision:
        """A wished quality is reached as cheaply as can be; without one, the budget buys the best there is."""
        budget = self.standard if signals.budget is None else signals.budget
        affordable = [c for c in candidates if budget is None or c.cost <= budget]
        if not affordable:
            cheapest = min(candidates, key=lambda c: (c.cost, -c.quality))
            return _first(cheapest, candidates, "cheapest, none within the budget", key=lambda c: (c.cost, -c.quality))
        wanted = max(signals.quality or 0.0, signals.floor)
        good = [c for c in affordable if c.quality >= wanted]
        if (signals.quality is not None or budget is None) and good:
            best = min(good, key=lambda c: (c.cost, -c.quality))
            return _first(best, candidates, "cheapest that is good enough")
        best = min(affordable, key=lambda c: (-c.quality, c.cost))
        return _first(best, candidates, "best within the budget")


class Complexity:
    """The cheapest model where it probably suffices, else the best. `threshold`: the least probability for that."""

    def __init__(self, threshold: float):
        self.threshold = threshold

    def choose(self, signals: Signals, candidates: Sequence[Candidate], rng: random.Random) -> Decision:
        """What is not known goes to the strong model; a session moves up and never down. The small model is the
        cheapest; where nobody knows what one of them costs, the one of the least quality."""
        priced = all(c.cost != math.inf for c in candidates)
        small = min(candidates, key=lambda c: (c.cost, c.quality) if priced else (c.quality, c.cost))
        strong = max(candidates, key=lambda c: (c.quality, -c.cost))
        if signals.floor > small.quality:
            return _first(strong, candidates, "its session needs the strong model", key=_by_quality)
        if signals.quality is not None and signals.quality > small.quality:
            return _first(strong, candidates, "this quality was asked for", key=_by_quality)
        if signals.easy is None or not signals.sure:
            return _first(strong, candidates, "not a kind of question that is known", key=_by_quality)
        if signals.easy >= (self.threshold if signals.threshold is None else signals.threshold):
            return _first(small, candidates, f"easy ({signals.easy:.2f})")
        return _first(strong, candidates, f"hard ({signals.easy:.2f})", key=_by_quality)


def _latency(candidate: Candidate) -> float:
    return float("inf") if candidate.latency_s is None else candidate.latency_s


def _by_quality(candidate: Candidate) -> tuple[float, float]:
    return (-candidate.quality, candidate.cost)


def _first(
    chosen: Candidate,
    candidates: Sequence[Candidate],
    why: str,
    key: Callable[[Candidate], tuple[float, float]] | None = None,
) -> Decision:
    """One first, the others behind it: in the order written down, or by `key`."""
    others = [candidate for candidate in candidates if candidate is not chosen]
    if key is not None:
        others.sort(key=key)
    return Decision((chosen, *others), why)
