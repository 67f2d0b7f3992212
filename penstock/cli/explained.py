"""What a route would do with a question, as far as that can be said without its models."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from penstock.config.file import load
from penstock.core.errors import NotFound
from penstock.core.generation import Generation, Message
from penstock.core.request import Hints, Request
from penstock.routing.complexity.estimate import Estimator
from penstock.routing.policies.choice import policy_of
from penstock.routing.policies.contract import Candidate
from penstock.routing.settings import RouteSettings
from penstock.routing.signals import UNJUDGED, Judged, signals_of
from penstock.routing.ways import named

PRESENT = ("least_busy", "latency")
"""Policies that decide by what only a running server knows."""


def route_of(file: Path, name: str | None) -> tuple[str, RouteSettings]:
    """A configured route: the one that is named, else the first with the policy complexity, else the first."""
    routes = load(file).routes
    if not routes:
        raise NotFound(f"{file.name} has no routes")
    if name is not None:
        if name not in routes:
            raise NotFound(f"{file.name} has no route {name!r}; it has: {', '.join(routes)}")
        return name, routes[name]
    return next((pair for pair in routes.items() if pair[1].policy == "complexity"), next(iter(routes.items())))


def estimator_of(settings: RouteSettings | None, base: Path) -> Estimator:
    """The estimator that a route uses; without a route the one that is shipped."""
    own = "" if settings is None else settings.estimator
    return Estimator.load(base / own if own else None)


def decision(name: str, settings: RouteSettings, estimator: Estimator, text: str, hints: Hints) -> dict[str, Any]:
    """Which models the route would ask, in order, and why the first.

    Of models that are up, idle and equally cheap: what they cost, how busy they are and the route's ceilings only
    count in a running server.
    """
    request = Request("explain", name, Generation(messages=(Message("user", text),)), hints=hints)
    threshold = estimator.threshold(settings.strong_share)
    judged = Judged(*estimator(text)) if settings.policy == "complexity" else UNJUDGED
    signals = signals_of(request, settings, judged)
    candidates = [
        Candidate(target, weight=each.weight, quality=each.quality or 0.0) for target, each in named(settings).items()
    ]
    pinned = [each for each in candidates if each.name == signals.pin]
    chosen = policy_of(settings, threshold).choose(signals, candidates, random.Random(0))
    order = [each.name for each in pinned or chosen.order]
    why = "pinned" if pinned else "decided by the present load" if settings.policy in PRESENT else chosen.why
    return {
        "route": name,
        "policy": settings.policy,
        "threshold": threshold,
        "models": [] if settings.policy in PRESENT else order,
        "fallback": list(settings.fallback),
        "why": why,
    }
