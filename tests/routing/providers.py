"""Routes over models of fake providers, for tests."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager
from typing import Any

from penstock.core.model import ModelSpec
from penstock.fakes.openai import FakeOpenAI
from penstock.fakes.plans import Plan
from penstock.routing.failure.breaker import BreakerSettings
from penstock.routing.failure.budget import RetryBudget, RetrySettings
from penstock.routing.pool import Pool
from penstock.routing.route import Route
from penstock.routing.router import Router
from penstock.routing.settings import RouteSettings
from penstock.routing.shadow import Shadow
from penstock.scheduling.fleet import Fleet
from penstock.scheduling.settings import DeploymentSettings

KEY = "sk-very-secret-0123456789"


@asynccontextmanager
async def routed(
    answers: Mapping[str, Plan | FakeOpenAI],
    options: dict[str, dict[str, Any]] | None = None,
    shadow: Callable[[Fleet], Shadow] | None = None,
    **settings: Any,
) -> AsyncIterator[tuple[Router, Fleet]]:
    """A route over models of fake providers: as planned, or given. `shadow`: what compares them, over the fleet."""
    fleet = Fleet(5)
    with ExitStack() as stack:
        for name, plan in answers.items():
            fake = plan if isinstance(plan, FakeOpenAI) else stack.enter_context(FakeOpenAI(key=KEY, plan=plan))
            told = {"provider": "openai", "model": "m", "url": fake.url, **(options or {}).get(name, {})}
            fleet.add(ModelSpec(name=name, runtime="remote", path="", options=told), DeploymentSettings())
        fleet.start()
        await fleet.loaded()
        pool, chosen = Pool(BreakerSettings()), RouteSettings(**{"models": tuple(answers), **settings})
        seen = None if shadow is None else shadow(fleet)
        route = Route("route", chosen, fleet, pool, lambda name, signals, busy_s: 0.0, shadow=seen)
        try:
            yield Router(fleet, {"route": route}, pool, RetryBudget(RetrySettings()), rng=random.Random(0)), fleet
        finally:
            await fleet.close()
