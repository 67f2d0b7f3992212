"""The cache of the path: rows that were computed before are not computed again, nor those being computed now."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from penstock.core.clock import Clock, system_clock
from penstock.core.errors import Cancelled, Internal, PenstockError
from penstock.core.generation import Generated, Usage
from penstock.core.model import Models
from penstock.core.reply import Meta, Reply
from penstock.core.request import Handler, Request
from penstock.core.tensors import Tensors
from penstock.routing.ask import Ask
from penstock.routing.flights import Flights, Run, too_late, verdict
from penstock.routing.layout import Row, joined
from penstock.routing.scope import Scope, Scopes
from penstock.routing.settings import CacheSettings
from penstock.telemetry.logs import logger

log = logger("routing")


class ItemCache:
    """Answers rows from memory, for the models that have a cache; requests to others pass.

    A request whose rows are partly known asks the next step only for the rest. Rows under way for one request
    serve all who ask for them, whatever becomes of that request.
    """

    def __init__(
        self, handler: Handler, models: Models, settings: Mapping[str, CacheSettings], clock: Clock = system_clock
    ):
        self.scopes = Scopes(models, settings)
        self.flights = Flights()
        self._handler = handler
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, request: Request) -> Reply:
        """Answers at once when every row is known."""
        scope = self.scopes.of(request)
        keys = scope.keys(request, self._clock) if scope is not None else None
        if not keys or scope is None:
            return await self._handler(request)
        rows = scope.store.find(keys)
        known = [row for row in rows if row is not None]
        scope.counts.hits += len(known)
        if len(known) < len(keys):
            return await self._computed(request, scope, keys, rows)
        outputs = joined(known)
        if outputs is None:
            return await self._handler(request)
        reply = Reply(Meta(*scope.labels))
        reply.meta.cached_rows, reply.meta.cost, reply.meta.usage = len(keys), 0.0, Usage()
        reply.settle(outputs)
        return reply

    async def _computed(self, request: Request, scope: Scope, keys: list[bytes], rows: Sequence[Row | None]) -> Reply:
        """The reply to a request of which some rows are not known."""
        now = self._clock()
        ask = Ask(request, scope, keys, rows, now, self._left)
        unknown = [key for key, row in zip(keys, rows, strict=True) if row is None]
        run = self._want(ask, unknown, now)
        scope.counts.misses += ask.owned
        scope.counts.shared += len(unknown) - ask.owned
        if run is not None:
            await self._send(run)
        return ask.reply

    # --- rows under way

    def _want(self, ask: Ask, keys: Iterable[bytes], now: float) -> Run | None:
        """Waits for the rows under way, and returns a run of the others; the request's own time is watched."""
        run = self.flights.want(ask, keys, ask.scope.until(ask.deadline, now))
        if ask.timer is None and any(other.until > ask.deadline for other in ask.missing.values()):
            ask.timer = asyncio.get_running_loop().call_later(max(0.0, ask.deadline - now), self._expired, ask)
        return run

    async def _send(self, run: Run) -> None:
        """Hands a run's rows to the next step. However that ends, the run will end."""
        try:
            reply = await self._handler(run.owner.part(run.keys, run.until))
        except PenstockError as error:
            # A reply that has failed: who waits is told outside of this block, or errors of theirs would name this one.
            reply = Reply(Meta())
            reply.settle(error)
        except BaseException as error:
            bug = isinstance(error, Exception)
            self._failed(run, Internal("the request failed") if bug else Cancelled("the request was cancelled"))
            raise
        run.reply = reply
        reply.add_end_callback(partial(self._ended, run))
        if run.ended:
            reply.close()

    def _ended(self, run: Run, reply: Reply) -> None:
        """Rows have come, or never will."""
        # Both know each other: memory should not wait for the garbage collector.
        run.reply = None
        outcome = reply.outcome
        run.owner.pay(reply.meta, outcome)
        if run.ended or outcome is None or isinstance(outcome, Generated):
            return
        if not isinstance(outcome, PenstockError):
            rows = run.owner.scope.rows(outcome, len(run.keys))
            if not isinstance(rows, PenstockError):
                self._came(run, rows, outcome, reply.meta)
                return
            outcome = rows
        self._failed(run, outcome)

    def _came(self, run: Run, rows: list[Row], outputs: Tensors, meta: Meta) -> None:
        """Keeps rows, then answers those who waited for nothing else."""
        asks = self.flights.end(run)
        for key, row in zip(run.keys, rows, strict=True):
            run.owner.scope.keep(key, row)
        for ask in asks:
            ask.take(run, rows)
        # Chosen first: whoever is told of an answer may make others leave in the same breath.
        for ask in [ask for ask in asks if not ask.missing]:
            self._answer(ask, outputs if ask.keys == run.keys else ask.outputs(), meta)

    def _answer(self, ask: Ask, outputs: Tensors | None, meta: Meta) -> None:
        if outputs is None:
            ask.task = self._spawn(self._whole(ask))
        else:
            ask.time(meta)
            ask.settle(outputs)

    def _failed(self, run: Run, error: PenstockError) -> None:
        """Fails those whose rows or time it was, and runs the rows of the others again: each for itself."""
        now, failed = self._clock(), []
        for ask in self.flights.end(run):
            keys = ask.drop(run)
            why = verdict(run, ask, error, now)
            if why is not None:
                failed.append((ask, why))
            elif (again := self._want(ask, keys, now)) is not None:
                self._spawn(self._send_again(again))
        for ask, _ in failed:
            self._leave(ask)
        for ask, why in failed:
            ask.settle(why)

    # --- tasks, for what happens rarely: nobody who waits here can be asked to drive it

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _send_again(self, run: Run) -> None:
        try:
            if not run.ended:
                await self._send(run)
        except Exception:
            log.exception("rows_not_sent", model=run.owner.scope.labels[0])

    async def _whole(self, ask: Ask) -> None:
        """Runs a request whose rows do not fit together as if there were no cache."""
        try:
            reply = await self._handler(ask.part(ask.keys, ask.deadline))
            outcome: Tensors | PenstockError = await reply.result()
            ask.owned = len(ask.keys)
            ask.pay(reply.meta, outcome)
            ask.time(reply.meta)
        except PenstockError as error:
            outcome = error
        except Exception:
            log.exception("request_not_sent", model=ask.scope.labels[0])
            outcome = Internal("the request failed")
        ask.task = None
        ask.settle(outcome)

    # --- those who leave

    def _left(self, ask: Ask) -> None:
        """The client has gone."""
        ask.rest()
        self._leave(ask)

    def _expired(self, ask: Ask) -> None:
        """The request's time has passed."""
        self._leave(ask)
        ask.settle(too_late())

    def _leave(self, ask: Ask) -> None:
        for run in self.flights.leave(ask):
            if run.reply is not None:
                run.reply.close()
