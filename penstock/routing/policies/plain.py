"""Policies that look at one thing: the order written down, weights, load."""

from __future__ import annotations

import random
from collections.abc import Sequence

from penstock.routing.policies.contract import Candidate, Decision, Signals


class First:
    """The order of the configuration: the first that can answers, the others are its fallback."""

    def choose(self, signals: Signals, candidates: Sequence[Candidate], rng: random.Random) -> Decision:
        """The order as it is."""
        return Decision(tuple(candidates), "first in order")


class Weighted:
    """By chance, as the weights say; a session always draws the same."""

    def choose(self, signals: Signals, candidates: Sequence[Candidate], rng: random.Random) -> Decision:
        """A random order in which each comes first as often as its weight says (Efraimidis and Spirakis, 2006)."""
        dice = random.Random(signals.session) if signals.session else rng
        keyed = [dice.random() ** (1 / each.weight) if each.weight > 0 else -1.0 for each in candidates]
        order = sorted(range(len(candidates)), key=lambda place: -keyed[place])
        return Decision(tuple(candidates[place] for place in order), "by weight")


class LeastBusy:
    """Whoever has the most room."""

    def choose(self, signals: Signals, candidates: Sequence[Candidate], rng: random.Random) -> Decision:
        """Least busy first; chance among equals, so that not all servers of a route choose the same."""
        order = sorted(candidates, key=lambda candidate: (candidate.busy, rng.random()))
        return Decision(tuple(order), f"least busy ({order[0].busy:.2f})")
