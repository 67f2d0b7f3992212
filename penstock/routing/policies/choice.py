"""Which policy a route's settings name."""

from __future__ import annotations

from penstock.routing.policies.contract import Policy
from penstock.routing.policies.goals import Complexity, Cost, Latency
from penstock.routing.policies.plain import First, LeastBusy, Weighted
from penstock.routing.settings import RouteSettings

FOR_SESSIONS = ("weighted", "cost", "complexity")
"""Policies that treat the requests of one session alike."""
BY_COST = ("latency", "cost", "complexity")
"""Policies that look at what answers will probably cost."""


def policy_of(settings: RouteSettings, threshold: float = 0.5) -> Policy:
    """The policy. `threshold`: the least probability that the small model suffices, for the policy complexity."""
    match settings.policy:
        case "weighted":
            return Weighted()
        case "least_busy":
            return LeastBusy()
        case "latency":
            return Latency(settings.target_ms / 1000)
        case "cost":
            return Cost(settings.standard)
        case "complexity":
            return Complexity(threshold)
    return First()
