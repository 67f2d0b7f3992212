"""The response cache that a route's settings ask for."""

from __future__ import annotations

from penstock.core.clock import Clock, system_clock
from penstock.core.errors import ConfigError
from penstock.core.model import Models
from penstock.core.request import Handler
from penstock.routing.responses.embedding import Embedder
from penstock.routing.responses.responses import CACHED, Responses
from penstock.routing.responses.shared import Shared
from penstock.routing.responses.similar import Similar
from penstock.routing.settings import RouteSettings


def responses_of(
    name: str,
    settings: RouteSettings,
    models: Models,
    handler: Handler,
    shared: Shared | None = None,
    clock: Clock = system_clock,
) -> Responses | None:
    """A route's response cache; None where it has none. `handler`: who embeds questions; `shared`: Redis, one for all
    routes. Raises `ConfigError` for settings that need others."""
    check(name, settings)
    if settings.cache is None:
        return None
    least, similar = settings.cache.similarity, None
    if least is not None:
        similar = Similar(Embedder(handler, models, settings.cache.embedder, clock), least)
    return Responses(name, settings, models, shared=shared, similar=similar, clock=clock)


def check(name: str, settings: RouteSettings) -> None:
    """Raises `ConfigError` for settings that need others."""
    steps = settings.ladder.steps if settings.ladder is not None else ()
    cache = settings.cache
    if cache is None:
        if CACHED in (*settings.fallback, *steps):
            raise ConfigError(
                f'routes.{name}: "cached" needs answers that are kept; give the route a cache, such as {{}}'
            )
    elif cache.similarity is not None and not cache.embedder:
        raise ConfigError(f"routes.{name}.cache.similarity needs cache.embedder, the name of a served embedding model")
    elif cache.embedder and cache.similarity is None:
        raise ConfigError(f"routes.{name}.cache.embedder does nothing without cache.similarity, such as 0.95")
