"""One request to a provider, while it waits and while it is under way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from penstock.core.generation import Generation
from penstock.core.reply import Meta, Outcome
from penstock.core.request import Request
from penstock.core.tensors import Tensors
from penstock.runtimes.remote.contract import HttpCall
from penstock.scheduling.continuous.job import Job

NOTHING = Generation()


class RemoteJob(Job):
    """`call`: what is to be sent, where that is one call; `tensors`: the request's. `whole`: its answer comes in one
    piece, so nobody knows when it began. `timer` rings when it has waited too long for a place; `task` does it."""

    __slots__ = ("call", "task", "tensors", "timer", "whole")

    def __init__(
        self,
        request: Request,
        on_end: Callable[[Job, Outcome], None],
        *,
        size: int,
        prompt: int,
        deadline: float,
        call: HttpCall | None = None,
    ):
        payload = request.payload
        super().__init__(
            payload if isinstance(payload, Generation) else NOTHING,
            _never,
            on_end,
            size=size,
            prompt=prompt,
            level=request.priority,
            tenant=request.tenant or "",
            weight=request.weight,
            deadline=deadline,
        )
        self.call = call
        self.tensors: Tensors = {} if isinstance(payload, Generation) else payload
        self.whole = call is not None and call.framing == "json"
        self.timer: asyncio.TimerHandle | None = None
        self.task: asyncio.Task[None] | None = None

    def time(self, meta: Meta) -> None:
        """Says how long a whole answer took; of one in a single piece not, when it began."""
        super().time(meta)
        if self.whole:
            meta.first_s = 0.0

    def rest(self) -> None:
        """It waits no longer."""
        timer, self.timer = self.timer, None
        if timer is not None:
            timer.cancel()


def _never(job: Job, event: object) -> None:
    raise AssertionError("a provider's events go to the reply at once")
