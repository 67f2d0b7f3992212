"""A request that waits for rows, some of which may be known, and others under way for somebody else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from penstock.core.deadline import Deadline
from penstock.core.errors import PenstockError
from penstock.core.generation import Generated, Generation, Usage
from penstock.core.reply import Meta, Outcome, Reply
from penstock.core.request import Request
from penstock.core.tensors import Tensor, Tensors
from penstock.core.text import usage_of_texts
from penstock.routing.layout import Row, joined
from penstock.routing.scope import Scope
from penstock.telemetry.logs import logger

if TYPE_CHECKING:
    from penstock.routing.flights import Run

log = logger("routing")


class Ask:
    """`keys`: of its rows, in order; `found`: those it has; `missing`: who computes the others; `owned`: how many
    are computed for it. `timer` rings when its time ends; `task` runs it whole, when its rows do not fit together."""

    __slots__ = ("deadline", "found", "keys", "missing", "owned", "reply", "request", "scope", "task", "timer")

    def __init__(
        self,
        request: Request,
        scope: Scope,
        keys: list[bytes],
        rows: Sequence[Row | None],
        now: float,
        on_close: Callable[[Ask], None],
    ):
        self.request = request
        self.scope = scope
        self.keys = keys
        self.found = {key: row for key, row in zip(keys, rows, strict=True) if row is not None}
        self.deadline: Deadline = scope.deadline(request.deadline, now)
        self.missing: dict[bytes, Run] = {}
        self.owned = 0
        self.reply = Reply(Meta(*scope.labels), partial(on_close, self))
        self.timer: asyncio.TimerHandle | None = None
        self.task: asyncio.Task[None] | None = None

    def part(self, keys: list[bytes], until: Deadline) -> Request:
        """The request for some of its rows."""
        whole, tensors = self.request, self.request.payload
        if keys != self.keys and not isinstance(tensors, Generation):
            tensors = _taken(tensors, self.keys, keys)
        version = self.scope.labels[1]
        who = (whole.priority, whole.tenant, whole.hints, whole.principal, whole.weight)
        return Request(whole.id, whole.model, tensors, version, None, until, *who)

    def take(self, run: Run, rows: Sequence[Row]) -> None:
        """Takes what it waits for from a run's rows."""
        for key, row in zip(run.keys, rows, strict=True):
            if self.missing.pop(key, None) is not None:
                self.found[key] = row

    def drop(self, run: Run) -> list[bytes]:
        """Waits no longer for a run; returns the keys that it still needs."""
        keys = [key for key in run.keys if self.missing.get(key) is run]
        for key in keys:
            del self.missing[key]
        return keys

    def outputs(self) -> Tensors | None:
        """All rows in order; None when their shapes differ."""
        return joined([self.found[key] for key in self.keys])

    def time(self, meta: Meta) -> None:
        """Tells the times of the last run that it waited for, and how many rows it got without one of its own."""
        own = self.reply.meta
        own.queue_s, own.batch_s, own.compute_s = meta.queue_s, meta.batch_s, meta.compute_s
        own.batch_rows = meta.batch_rows
        own.cached_rows = len(self.keys) - self.owned

    def pay(self, meta: Meta, outcome: Outcome | None) -> None:
        """A run of its own took this; those who wait for the same rows get them for nothing."""
        own, usage = self.reply.meta, meta.usage
        if usage is None and not isinstance(outcome, Generated | PenstockError | None):
            usage = usage_of_texts(self.request.payload, outcome)
        own.busy_s += meta.busy_s
        if usage is not None:
            before = own.usage or Usage()
            own.usage = Usage(before.prompt_tokens + usage.prompt_tokens, before.cached_tokens + usage.cached_tokens)

    def settle(self, outcome: Outcome) -> None:
        """Ends the reply. Whoever waits must not harm the others who wait for the same rows."""
        self.rest()
        try:
            self.reply.settle(outcome)
        except Exception:
            log.exception("reply_broken", model=self.scope.labels[0])

    def rest(self) -> None:
        """Nothing will happen to it any more. Where nothing was computed for it, it costs nothing."""
        if not self.owned:
            self.reply.meta.cost, self.reply.meta.usage = 0.0, Usage()
        timer, self.timer = self.timer, None
        if timer is not None:
            timer.cancel()
        task, self.task = self.task, None
        if task is not None:
            task.cancel()


def _taken(tensors: Tensors, keys: list[bytes], wanted: list[bytes]) -> Mapping[str, Tensor]:
    """The rows with the wanted keys, each once."""
    places = {key: place for place, key in reversed(list(enumerate(keys)))}
    rows = [places[key] for key in wanted]
    return {name: Tensor(tensor.datatype, tensor.array[rows]) for name, tensor in tensors.items()}
