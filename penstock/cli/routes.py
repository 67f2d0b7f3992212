"""Routes as commands show them: their policy, and the models behind them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from penstock.routing.settings import RouteSettings

if TYPE_CHECKING:
    from rich.table import Table


class Route(NamedTuple):
    """One route. `models`: those behind it that may be shown, fallbacks left out."""

    name: str
    policy: str
    models: tuple[str, ...]
    state: str = "READY"


def of_settings(routes: Mapping[str, RouteSettings]) -> list[Route]:
    """The routes of a configuration."""
    return [Route(name, settings.policy, tuple(settings.models)) for name, settings in routes.items()]


def of_names(names: Iterable[Mapping[str, Any]]) -> list[Route]:
    """The routes among the names that a server lists."""
    routes = [each for each in names if each.get("kind") == "route"]
    return [Route(r["name"], r.get("policy", ""), tuple(r.get("models", ())), r["state"]) for r in routes]


def table(routes: Sequence[Route]) -> Table:
    """One line per route."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("route", "policy", "models"):
        made.add_column(title, overflow="fold")
    for route in routes:
        state = "" if route.state == "READY" else f" ({route.state.lower()})"
        made.add_row(*map(Text, (route.name + state, route.policy, ", ".join(route.models))))
    return made
