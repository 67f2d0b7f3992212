"""Routes as protocols see them."""

from __future__ import annotations

import pytest

from penstock.core.errors import UnknownModel
from penstock.core.model import State
from penstock.core.signature import Signature
from penstock.routing.names import Names
from penstock.routing.settings import RouteSettings
from tests.routing.backends import Backend, Backends


def names(*backends: Backend, **settings: object) -> Names:
    models = Backends(backends)
    routes = {"route": RouteSettings(models=tuple(models.by_name), **settings)}  # type: ignore[arg-type]
    return Names(models, models, {"gpt-4o": "route"}, routes)


def test_a_route_is_ready_when_one_of_its_models_is() -> None:
    loading = Backend("a", state=State.LOADING, reason="loading")
    assert names(loading, Backend("b")).find("route").state is State.READY
    view = names(loading).find("gpt-4o")
    assert (view.state, view.reason) == (State.LOADING, "loading")
    assert names(loading, fallback=("rule",)).find("route").state is State.READY


def test_a_route_takes_what_its_models_take() -> None:
    short, long = (Signature((), (), batched=False, task="generation", max_tokens=tokens) for tokens in (512, 4096))
    view = names(Backend("a", signature=short), Backend("b", signature=long)).find("route")
    assert view.signature is not None
    assert (view.signature.task, view.signature.max_tokens) == ("generation", 4096)
    assert names().find("route").signature is None


def test_a_route_has_no_versions() -> None:
    with pytest.raises(UnknownModel, match="routes have no versions"):
        names(Backend("a")).find("route", "1")


@pytest.mark.parametrize(
    ("asked", "says"),
    [("rout", "did you mean 'route'"), ("gpt-4", "did you mean 'gpt-4o'"), ("xyz", "served: small, route, gpt-4o$")],
)
def test_an_unknown_name_is_told_routes_and_aliases_too(asked: str, says: str) -> None:
    with pytest.raises(UnknownModel, match=says):
        names(Backend("small")).find(asked)


def test_public_names_are_listed() -> None:
    listed = [(name.name, name.kind, name.models) for name in names(Backend("a")).public()]
    assert listed == [("route", "route", ("a",)), ("gpt-4o", "alias", ("route",))]
