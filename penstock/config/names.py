"""Limits and prices that name what is not served."""

from __future__ import annotations

from collections.abc import Iterator

from penstock.config.document import Path, nearest
from penstock.config.schema import Config
from penstock.core.errors import ModelFileError
from penstock.repository.remote_names import is_remote, parse
from penstock.telemetry.prices.book import MACHINE


def problems(config: Config) -> Iterator[tuple[Path, str]]:
    """Paths of settings, and what is wrong with them; none where the models come from elsewhere."""
    if not config.models:
        return
    for tenant, settings in config.tenants.items():
        for name in settings.models:
            yield from _limit(("tenants", tenant, "models", name), name, config)
    known = [*config.models, *_at_providers(config), MACHINE]
    for name in config.prices:
        yield from _price(("prices", name), name, known, config)


def _limit(path: Path, name: str, config: Config) -> Iterator[tuple[Path, str]]:
    model, _, version = name.partition("@")
    known = [*config.models, *config.aliases, *config.routes]
    if model not in known:
        yield path, f"there is no model, alias or route {model!r}; {nearest(model, known)}"
    elif version:
        yield path, f"is one version, and limits hold for all together; name {model}"


def _price(path: Path, name: str, known: list[str], config: Config) -> Iterator[tuple[Path, str]]:
    model = name.partition("@")[0]
    if name in known or model in config.models:
        return
    if model in config.routes:
        yield path, f"{model!r} is a route; name the models behind it"
    elif model in config.aliases:
        yield path, f"{model!r} is an alias; name {config.aliases[model]}"
    else:
        yield path, f"no model here is called that, or comes from there; {nearest(name, known)}"


def _at_providers(config: Config) -> Iterator[str]:
    """provider:model of those that are served."""
    for settings in config.models.values():
        if is_remote(settings.source):
            try:
                remote = parse(settings.source)
            except ModelFileError:
                continue  # Told where models are read.
            yield f"{remote.provider}:{remote.model}"
