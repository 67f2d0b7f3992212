"""Routes as protocols see them: a model among the others, which speaks for those behind it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from penstock.core.errors import UnknownModel
from penstock.core.model import Models, ModelSpec, ModelStats, ModelView, PublicName, State
from penstock.core.signature import Signature
from penstock.routing.failure.chain import SPECIAL
from penstock.routing.settings import RouteSettings

RUNTIME = "route"


class RouteView:
    """One route. It is ready when somebody can answer, and takes what the first of its models takes."""

    def __init__(self, name: str, settings: RouteSettings, models: Models):
        self._settings = settings
        self._models = models
        self._name = name
        self._answers_itself = "rule" in settings.fallback

    @property
    def spec(self) -> ModelSpec:
        """The route as a model of one version."""
        return ModelSpec(name=self._name, runtime=RUNTIME, path="", platform="penstock_route", details=self._details())

    def _details(self) -> dict[str, Any]:
        return {"models": list(self._settings.models), "policy": self._settings.policy}

    @property
    def signature(self) -> Signature | None:
        """That of the first model that has one, with room for as long a prompt as any of them takes."""
        signatures = [view.signature for view in self.views() if view.signature is not None]
        if not signatures:
            return None
        context = [signature.max_tokens for signature in signatures]
        longest = None if None in context else max(tokens for tokens in context if tokens is not None)
        return msgspec.structs.replace(signatures[0], max_tokens=longest)

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
        for target in (*self._settings.models, *self._settings.fallback):
            if target in SPECIAL:
                continue
            name, _, version = target.partition("@")
            try:
                found.append(self._models.find(name, version or None))
            except UnknownModel:
                continue
        return found


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
