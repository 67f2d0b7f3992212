"""Routes as protocols see them: a model among the others, which speaks for those behind it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import is_
from typing import Any

import msgspec

from penstock.core.errors import UnknownModel
from penstock.core.model import Models, ModelSpec, ModelStats, ModelView, PublicName, State, versioned
from penstock.core.signature import Signature
from penstock.routing.failure.chain import SPECIAL
from penstock.routing.settings import RouteSettings

RUNTIME = "route"


class RouteView:
    """One route, as a model of one version. It is ready when somebody can answer, and takes what the first of its
    models takes."""

    def __init__(self, name: str, settings: RouteSettings, models: Models):
        self._settings = settings
        self._models = models
        self._targets = [versioned(each) for each in (*settings.models, *settings.fallback) if each not in SPECIAL]
        self._answers_itself = "rule" in settings.fallback
        self._known: tuple[list[Signature], Signature] | None = None
        details = {"models": list(settings.models), "policy": settings.policy}
        self.spec = ModelSpec(name=name, runtime=RUNTIME, path="", platform="penstock_route", details=details)

    @property
    def signature(self) -> Signature | None:
        """That of the first model that has one, with room for as long a prompt as any of them takes."""
        signatures = [view.signature for view in self.views() if view.signature is not None]
        if not signatures:
            return None
        if self._known is not None and _same(self._known[0], signatures):
            return self._known[1]
        signature = _joined(signatures)
        self._known = (signatures, signature)
        return signature

    @property
    def state(self) -> State:
        """READY when one of the models is, or a rule answers; else the first one's."""
        states = [view.state for view in self.views()]
        if State.READY in states or self._answers_itself or not states:
            return State.READY
        return states[0]

    @property
    def reason(self) -> str:
        """Why no model is ready."""
        return "" if self.state is State.READY else next((view.reason for view in self.views()), "")

    @property
    def stats(self) -> ModelStats:
        """A route has none of its own; its models have."""
        return ModelStats()

    @property
    def load(self) -> float:
        """That of the model with the most room."""
        return min((view.load for view in self.views()), default=0.0)

    def config(self) -> dict[str, Any]:
        """The settings in force, as plain data."""
        plain: dict[str, Any] = msgspec.to_builtins(self._settings)
        return plain

    def views(self) -> list[ModelView]:
        """The models behind it, fallbacks last."""
        found = []
        for name, version in self._targets:
            try:
                found.append(self._models.find(name, version))
            except UnknownModel:
                continue
        return found


def _same(known: Sequence[Signature], signatures: Sequence[Signature]) -> bool:
    return len(known) == len(signatures) and all(map(is_, known, signatures))


def _joined(signatures: Sequence[Signature]) -> Signature:
    """The first one, with the longest context of all."""
    context = [signature.max_tokens for signature in signatures]
    longest = None if None in context else max(tokens for tokens in context if tokens is not None)
    return msgspec.structs.replace(signatures[0], max_tokens=longest)


class RouteViews:
    """All of them, by name."""

    def __init__(self, routes: dict[str, RouteSettings], models: Models):
        self._views = {name: RouteView(name, settings, models) for name, settings in routes.items()}
        self._routes = routes

    def find(self, name: str) -> RouteView | None:
        """The route of that name, if there is one."""
        return self._views.get(name)

    def public(self) -> Iterable[PublicName]:
        """Their names, with the models behind them."""
        return [PublicName(name, "route", tuple(settings.models)) for name, settings in self._routes.items()]
