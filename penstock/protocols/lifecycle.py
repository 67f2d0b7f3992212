"""Loading and unloading models for clients: it goes on when its client leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from penstock.core.errors import Draining, Forbidden
from penstock.core.model import Lifecycle, Models, ModelView, State
from penstock.protocols.tasks import going_on


class Loads:
    """`lifecycle`: None where clients may not change what is loaded."""

    def __init__(self, lifecycle: Lifecycle | None, models: Models):
        self._lifecycle = lifecycle
        self._models = models
        self._under_way: dict[asyncio.Task[None], str] = {}

    @property
    def allowed(self) -> bool:
        """Whether clients may load and unload."""
        return self._lifecycle is not None

    async def load(self, name: str) -> None:
        """Loads a model and waits for it. Raises `Forbidden`, `Draining`, and whatever a `Lifecycle` does."""
        if self._models.draining:
            raise Draining("the server is stopping, and loads no models; send the request elsewhere")
        await self._task(name, self._lifecycle_or_refusal().load(name))

    async def unload(self, name: str) -> None:
        """Unloads a model, once it has finished what it accepted. Raises likewise."""
        await self._task(name, self._lifecycle_or_refusal().unload(name))

    async def at_hand(self, view: ModelView) -> None:
        """Loads a model that was unloaded, where that is allowed; while it is on its way up or down for another client,
        this one waits too. Raises `Unavailable` when it cannot be loaded."""
        away = view.state in (State.UNLOADED, State.DRAINING) or view.spec.name in self._under_way.values()
        if self.allowed and away:
            await self.load(view.spec.name)

    def _lifecycle_or_refusal(self) -> Lifecycle:
        if self._lifecycle is None:
            raise Forbidden("clients of this server may not load and unload models; http.lifecycle: true allows it")
        return self._lifecycle

    def _task(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Future[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._under_way[task] = name
        task.add_done_callback(self._under_way.pop)
        return going_on(task)
