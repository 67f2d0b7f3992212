"""From configured routes to the router."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from penstock.config.schema import Config
from penstock.core.clock import system_clock
from penstock.core.ledger import Ledger
from penstock.core.model import Models, ModelSpec
from penstock.core.request import Handler
from penstock.routing.failure.budget import RetryBudget
from penstock.routing.judge import Judge
from penstock.routing.policies.choice import BY_COST
from penstock.routing.policies.contract import Signals
from penstock.routing.pool import Pool
from penstock.routing.responses.responses import Responses
from penstock.routing.route import Route
from penstock.routing.router import Router
from penstock.routing.rules import Function, Rule
from penstock.routing.settings import RouteSettings, RuleSettings
from penstock.routing.shadow import Shadow
from penstock.runtimes.python_objects import open_object
from penstock.telemetry.logs import logger
from penstock.telemetry.prices.book import PriceBook

if TYPE_CHECKING:
    from penstock.routing.responses.shared import Shared


log = logger("routing")
_DEAR = "they count as dearer than all others; name their prices under prices:"
_UNPRICED = {"complexity": "the model of the least quality counts as the small one; name their prices under prices:"}


class Routing:
    """Makes routes. `handler` is the next step, `base` the folder that files start from, `shared` where several
    servers keep answers."""

    def __init__(self, config: Config, models: Models, handler: Handler, prices: PriceBook, ledger: Ledger, base: Path):
        self._config = config
        self._models = models
        self._handler = handler
        self._prices = prices
        self._ledger = ledger
        self._base = base
        self._rng = random.Random()
        self.shared: Shared | None = None

    def router(self) -> Router:
        """The router over all configured routes. Raises `SetupError` for what a route names and is not there."""
        pool = Pool(self._config.breaker)
        if self._config.state.redis and any(route.cache is not None for route in self._config.routes.values()):
            from penstock.routing.responses.shared import Shared

            self.shared = Shared(self._config.state.redis)
        routes = {name: self._route(name, settings, pool) for name, settings in self._config.routes.items()}
        return Router(self._handler, routes, pool, RetryBudget(self._config.retries), rng=self._rng)

    async def stop(self) -> None:
        """Closes what routes share with other servers."""
        if self.shared is not None:
            await self.shared.stop()

    def _route(self, name: str, settings: RouteSettings, pool: Pool) -> Route:
        return Route(
            name,
            settings,
            self._models,
            pool,
            self._expected,
            rule=None if settings.rule is None else Rule(settings.rule, function_of(settings.rule, self._base)),
            judge=self._judge(settings),
            responses=self._responses(name, settings),
            shadow=self._shadow(name, settings),
        )

    def _expected(self, name: str, signals: Signals, busy_s: float) -> float:
        if not self._prices.knows(name):
            return math.inf
        return self._prices.expected(name, signals.prompt_tokens, signals.answer_tokens, busy_s)

    def warn(self) -> None:
        """Says which models have no price although their routes decide by it."""
        for name, route in self._config.routes.items():
            if route.policy not in BY_COST and route.ceilings.cost is None:
                continue
            if unknown := [model for model in route.models if not self._prices.knows(model)]:
                log.warning("no_price", route=name, models=unknown, hint=_UNPRICED.get(route.policy, _DEAR))

    def _judge(self, settings: RouteSettings) -> Judge | None:
        if settings.policy != "complexity":
            return None
        from penstock.routing.complexity.estimate import Estimator
        from penstock.routing.complexity.threshold import Threshold

        estimator = Estimator.load(self._base / settings.estimator if settings.estimator else None)
        embed = None
        if settings.embedder:
            from penstock.routing.responses.embedding import Embedder

            embed = Embedder(self._handler, self._models, settings.embedder)
        start = estimator.threshold(settings.strong_share, vectors=embed is not None)
        return Judge(estimator, Threshold(start, settings.strong_share), embed)

    def _responses(self, name: str, settings: RouteSettings) -> Responses | None:
        cache = settings.cache
        if cache is None:
            return None
        similar = None
        if cache.similarity is not None:
            from penstock.routing.responses.embedding import Embedder
            from penstock.routing.responses.similar import Similar

            similar = Similar(Embedder(self._handler, self._models, cache.embedder), cache.similarity)
        return Responses(name, settings, self._models, shared=self.shared, similar=similar)

    def _shadow(self, name: str, settings: RouteSettings) -> Shadow | None:
        if settings.shadow is None:
            return None
        shadow = settings.shadow
        return Shadow(name, shadow, self._handler, self._ledger, self._prices.cost, system_clock, self._rng)


def check(settings: RouteSettings, base: Path) -> None:
    """Raises `SetupError` for the file of an estimate that cannot be read."""
    if settings.policy == "complexity" and settings.estimator:
        from penstock.routing.complexity.estimate import Estimator

        Estimator.load(base / settings.estimator)


def function_of(rule: RuleSettings, base: Path) -> Function | None:
    """The function that a rule names, imported. Raises `ModelFileError` when there is none."""
    if rule.function is None:
        return None
    where, _, attribute = rule.function.rpartition(":")
    path = f"{base / where}:{attribute}" if where.endswith(".py") else rule.function
    found: Callable[..., object] = open_object(ModelSpec(name="rule", runtime="callable", path=path, format="python"))
    return found
