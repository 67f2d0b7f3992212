"""The Open Inference Protocol's repository extension: which models there are; loading and unloading them."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.core.errors import BadInput
from penstock.core.model import Lifecycle, Models, ModelView, State
from penstock.protocols.http.message import HttpRequest, HttpResponse
from penstock.protocols.http.routes import Routes
from penstock.protocols.lifecycle import Loads


class OipRepository:
    """`lifecycle`: None where clients may not load and unload."""

    def __init__(self, models: Models, lifecycle: Lifecycle | None):
        self._models = models
        self._loads = Loads(lifecycle, models)

    def mount(self, routes: Routes) -> None:
        """Adds the extension's paths."""
        routes.add("POST", "/v2/repository/index", self.index)
        routes.add("POST", "/v2/repository/models/{}/load", self.load)
        routes.add("POST", "/v2/repository/models/{}/unload", self.unload)

    async def index(self, http: HttpRequest) -> HttpResponse:
        """POST /v2/repository/index"""
        wish = _optional_object(http.body)
        models = [m for m in self._models.all() if not wish.get("ready") or m.state is State.READY]
        return _json([_entry(model) for model in models])

    async def load(self, http: HttpRequest, name: str) -> HttpResponse:
        """POST /v2/repository/models/{name}/load: answers when it is ready."""
        await self._loads.load(self._models.find(name).spec.name)
        return _json({})

    async def unload(self, http: HttpRequest, name: str) -> HttpResponse:
        """POST /v2/repository/models/{name}/unload: answers when its memory is free."""
        await self._loads.unload(self._models.find(name).spec.name)
        return _json({})


def _entry(model: ModelView) -> dict[str, str]:
    state = "READY" if model.state is State.READY else "UNAVAILABLE"
    return {"name": model.spec.name, "version": model.spec.version, "state": state, "reason": model.reason}


def _optional_object(body: bytes | bytearray) -> dict[str, Any]:
    if not body.strip():
        return {}
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise BadInput("the body must be a JSON object, or empty") from None


def _json(value: Any) -> HttpResponse:
    return HttpResponse(200, msgspec.json.encode(value))
