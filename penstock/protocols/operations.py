"""For operators: liveness, readiness, health, metrics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import msgspec

from penstock.core.model import Catalog, PublicName
from penstock.core.principal import Principal
from penstock.protocols.answer import about
from penstock.protocols.http.message import HttpRequest, HttpResponse
from penstock.protocols.http.routes import Routes
from penstock.protocols.visible import covers, visible

METRICS_TYPE = b"text/plain; version=0.0.4; charset=utf-8"


class Operations:
    """`metrics` renders the Prometheus page."""

    def __init__(self, models: Catalog, metrics: Callable[[], bytes], version: str):
        self._models = models
        self._metrics = metrics
        self._version = version

    def mount(self, routes: Routes) -> None:
        """Adds the paths."""
        routes.add("GET", "/livez", self.live, "none")
        routes.add("GET", "/readyz", self.ready, "none")
        routes.add("GET", "/health", self.health, "none")
        routes.add("GET", "/metrics", self.metrics, "metrics")
        routes.add("GET", "/models", self.models, "read")
        routes.add("GET", "/models/{}", self.model, "read")

    async def live(self, http: HttpRequest) -> HttpResponse:
        """GET /livez: the process answers."""
        return HttpResponse(200, b'{"live":true}')

    async def ready(self, http: HttpRequest) -> HttpResponse:
        """GET /readyz: 200 when every model takes requests and the server is not stopping."""
        ready, seen = self._is_ready(), visible(self._models, http.principal).all()
        waiting = [view.spec.name for view in seen if not view.state.settled]
        return _json({"ready": ready, "draining": self._models.draining, "not_ready": waiting}, 200 if ready else 503)

    def _is_ready(self) -> bool:
        return not self._models.draining and all(view.state.settled for view in self._models.all())

    async def health(self, http: HttpRequest) -> HttpResponse:
        """GET /health: every model's state, for people who may see it; 503 when one is not ready."""
        models = [_described(model) for model in visible(self._models, http.principal).all()]
        ready = self._is_ready()
        status = "draining" if self._models.draining else "ok" if ready else "degraded"
        return _json({"status": status, "version": self._version, "models": models}, 200 if ready else 503)

    async def metrics(self, http: HttpRequest) -> HttpResponse:
        """GET /metrics: Prometheus text."""
        return HttpResponse(200, self._metrics(), METRICS_TYPE)

    async def model(self, http: HttpRequest, name: str) -> HttpResponse:
        """GET /models/{name}: what it takes and gives, and how to ask it."""
        return _json(_usage(visible(self._models, http.principal).find(name)))

    async def models(self, http: HttpRequest) -> HttpResponse:
        """GET /models: what is served."""
        models = visible(self._models, http.principal)
        names = [_named(public, models.find(public.name), http.principal) for public in models.public()]
        return _json({"models": [_described(model) for model in models.all()], "names": names})


def _usage(model: Any) -> dict[str, Any]:
    """How to ask a model: its signature and an example for its predict path."""
    signature = model.signature
    return {
        **_described(model),
        **about(model),
        "inputs": signature and msgspec.to_builtins(signature.inputs),
        "outputs": signature and msgspec.to_builtins(signature.outputs),
        "predict": f"/models/{quote(model.spec.name)}/predict",
        "example": {"inputs": model.spec.example} if model.spec.example else None,
    }


def _named(public: PublicName, model: Any, principal: Principal) -> dict[str, Any]:
    """An alias or a route, and the state of what it leads to; of a route its policy, and those of its models that the
    caller may use."""
    named = {"name": public.name, "kind": public.kind, "state": model.state, "reason": model.reason}
    if public.kind == "alias":
        return named
    behind = [target for target in public.models if covers(principal, target)]
    return named | {"policy": model.spec.details["policy"], "models": behind}


def _described(model: Any) -> dict[str, Any]:
    return {
        "name": model.spec.name,
        "version": model.spec.version,
        "runtime": model.spec.runtime,
        "state": model.state,
        "reason": model.reason,
    }


def _json(value: Any, status: int = 200) -> HttpResponse:
    return HttpResponse(status, msgspec.json.encode(value))
