"""The Open Inference Protocol's repository extension: which models there are; loading and unloading them."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.core.errors import BadInput
from penstock.core.model import Catalog, Lifecycle, ModelView, State
from penstock.protocols.http.message import HttpRequest, HttpResponse
from penstock.protocols.http.routes import Routes
from penstock.protocols.lifecycle import Loads
from penstock.protocols.visible import visible


class OipRepository:
    """`lifecycle`: None where clients may not load and unload."""

    def __init__(self, models: Catalog, lifecycle: Lifecycle | None):
        self._models = models
        self._loads = Loads(lifecycle, models)

    def mount(self, routes: Routes) -> None:
        """Adds the extension's paths."""
        routes.add("POST", "/v2/repository/index", self.index, "read")
        routes.add("POST", "/v2/repository/models/{}/load", self.load, "manage")
        routes.add("POST", "/v2/repository/models/{}/unload", self.unload, "manage")

    async def index(self, http: HttpRequest) -> HttpResponse:
        """POST /v2/repository/index"""
        wish = _optional_object(http.body)
        models = visible(self._models, http.principal)
        listed = [(view.spec.name, view.spec.version, view) for view in models.all()]
        listed += [(public.name, "", models.find(public.name)) for public in models.public()]
        ready = bool(wish.get("ready"))
        return _json([_entry(*each) for each in listed if not ready or each[2].state is State.READY])

    async def load(self, http: HttpRequest, name: str) -> HttpResponse:
        """POST /v2/repository/models/{name}/load: answers when it is ready."""
        await self._loads.load(visible(self._models, http.principal).find(name).spec.name, http.principal)
        return _json({})

    async def unload(self, http: HttpRequest, name: str) -> HttpResponse:
        """POST /v2/repository/models/{name}/unload: answers when its memory is free."""
        await self._loads.unload(visible(self._models, http.principal).find(name).spec.name, http.principal)
        return _json({})


def _entry(name: str, version: str, model: ModelView) -> dict[str, str]:
    state = "READY" if model.state is State.READY else "UNAVAILABLE"
    return {"name": name, "version": version, "state": state, "reason": model.reason}


def _optional_object(body: bytes | bytearray) -> dict[str, Any]:
    if not body.strip():
        return {}
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise BadInput("the body must be a JSON object, or empty") from None


def _json(value: Any) -> HttpResponse:
    return HttpResponse(200, msgspec.json.encode(value))
