"""What is wrong with configured routes, as far as their names tell."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from penstock.config.document import Path, nearest
from penstock.config.schema import Config
from penstock.routing.failure.chain import SPECIAL
from penstock.routing.settings import RouteSettings

FALLBACKS = ("cached", "rule")
"""What a fallback may be beside a model."""


def problems(config: Config) -> Iterator[tuple[Path, str]]:
    """Paths of settings, and what is wrong with them."""
    for name, route in config.routes.items():
        path = ("routes", name)
        if name in config.models or name in config.aliases:
            yield path, "is a model's or an alias's name already; a route needs one of its own"
        if name in SPECIAL:
            yield path, "is a word with a meaning of its own in fallbacks; a route needs another name"
        yield from _models(path, route, config)
        yield from _answers(path, route, config)
    for name in SPECIAL & set(config.models):
        yield ("models", name), "is a word with a meaning of its own in the fallbacks of routes"


def _models(path: Path, route: RouteSettings, config: Config) -> Iterator[tuple[Path, str]]:
    """Of models that are named, those that there are not."""
    if not route.models:
        yield (*path, "models"), "must name at least one model"
    for target in route.models:
        yield from _unknown((*path, "models"), target, config, ())
    for setting, target in _others(route):
        if target:
            yield from _unknown((*path, *setting.split(".")), target, config, ())
    if route.policy == "complexity" and len(route.models) < 2:
        yield (*path, "policy"), "complexity chooses between at least two models"


def _others(route: RouteSettings) -> Iterator[tuple[str, str]]:
    yield "embedder", route.embedder
    if route.shadow is not None:
        yield "shadow.model", route.shadow.model
    if route.cache is not None:
        yield "cache.embedder", route.cache.embedder


def _answers(path: Path, route: RouteSettings, config: Config) -> Iterator[tuple[Path, str]]:
    """Fallbacks and steps that cannot answer."""
    steps = () if route.ladder is None else route.ladder.steps
    for target in route.fallback:
        yield from _unknown((*path, "fallback"), target, config, FALLBACKS)
    for target in steps:
        yield from _unknown((*path, "ladder", "steps"), target, config, tuple(sorted(SPECIAL)))
    used = {*route.fallback, *steps}
    if "rule" in used and route.rule is None:
        yield (*path, "rule"), 'is missing: the fallback "rule" answers what it says'
    if "cached" in used and route.cache is None:
        yield (*path, "cache"), 'is missing: the fallback "cached" answers from it'
    if route.ladder is not None and not steps:
        yield (*path, "ladder", "steps"), "must name at least one step"
    if route.cache is not None and route.cache.similarity is not None and not route.cache.embedder:
        yield (*path, "cache", "embedder"), "is missing: similarity needs a served embedding model"
    if route.rule is not None and not (route.rule.text or route.rule.outputs or route.rule.function):
        yield (*path, "rule"), "must have a text, outputs or a function"


def _unknown(path: Path, target: str, config: Config, words: Collection[str]) -> Iterator[tuple[Path, str]]:
    name = target.partition("@")[0]
    if target in words or name in config.models:
        return
    if name in config.routes:
        yield path, f"{name!r} is a route; name the models behind it"
    else:
        yield path, f"there is no model {name!r}; {nearest(name, [*config.models, *words])}"
