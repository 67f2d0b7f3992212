"""Loading and unloading models for clients: it goes on when its client leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from penstock.core.errors import BadInput, Draining, Forbidden
from penstock.core.model import Catalog, Lifecycle, ModelView, State
from penstock.core.principal import Principal
from penstock.protocols.tasks import going_on


class Loads:
    """`lifecycle`: None where clients may not change what is loaded. Routes have nothing to load: their models have."""

    def __init__(self, lifecycle: Lifecycle | None, models: Catalog):
        self._lifecycle = lifecycle
        self._models = models
        self._under_way: dict[asyncio.Task[None], str] = {}

    def allowed(self, principal: Principal) -> bool:
        """Whether a client may load and unload."""
        return self._lifecycle is not None and "manage" in principal.verbs

    async def load(self, name: str, principal: Principal) -> None:
        """Loads a model and waits for it. Raises `Forbidden`, `Draining`, and whatever a `Lifecycle` does."""
        self._check_no_route(name)
        if self._models.draining:
            raise Draining("the server is stopping, and loads no models; send the request elsewhere")
        await self._task(name, self._lifecycle_for(principal).load(name))

    async def unload(self, name: str, principal: Principal) -> None:
        """Unloads a model, once it has finished what it accepted. Raises likewise."""
        self._check_no_route(name)
        await self._task(name, self._lifecycle_for(principal).unload(name))

    async def at_hand(self, view: ModelView, principal: Principal) -> None:
        """Loads a model that was unloaded, where that is allowed; while it is on its way up or down for another client,
        this one waits too. Raises `Unavailable` when it cannot be loaded."""
        away = view.state in (State.UNLOADED, State.DRAINING) or view.spec.name in self._under_way.values()
        if away and self.allowed(principal) and not self.route(view.spec.name):
            await self.load(view.spec.name, principal)

    def route(self, name: str) -> tuple[str, ...]:
        """The models behind a route; none where the name is not a route's."""
        found = (public.models for public in self._models.public() if public.kind == "route" and public.name == name)
        return next(found, ())

    def _check_no_route(self, name: str) -> None:
        if models := self.route(name):
            raise BadInput(f"{name!r} is a route; load and unload its models: {', '.join(models)}")

    def _lifecycle_for(self, principal: Principal) -> Lifecycle:
        if "manage" not in principal.verbs:
            raise Forbidden("this key may not load and unload models; that takes the verb manage")
        if self._lifecycle is None:
            raise Forbidden("clients of this server may not load and unload models; http.lifecycle: true allows it")
        return self._lifecycle

    def _task(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Future[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._under_way[task] = name
        task.add_done_callback(self._under_way.pop)
        return going_on(task)
