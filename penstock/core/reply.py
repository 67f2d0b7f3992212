"""A reply that climbs back up the path: one outcome, perhaps after events; closable at any time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator, Iterable
from functools import partial
from typing import Any

import msgspec

from penstock.core.errors import Cancelled, PenstockError, SlowClient
from penstock.core.generation import Generated, Usage
from penstock.core.quota import Quota
from penstock.core.tensors import Tensors

Outcome = Tensors | Generated | PenstockError
UNREAD = 65_536
"""Events that may wait for their reader."""


class Meta(msgspec.Struct):
    """Who answered, and what it took. Durations are seconds, money is USD.

    `queue_s`: waiting for a place in a batch; `batch_s`: on the way to the worker and back;
    `compute_s`: in the model. `cached_rows`: how many rows were known before; None where nothing is kept.
    Of generated text: `first_s`, from acceptance to the first token; `total_s`, to the end. `usage`: its tokens.
    `busy_s`: seconds of a local worker's time that were this request's own share.

    Where a route answered: `route` its name, `why` the reason for this model in a few ASCII words, `tries` how many
    models were asked, `fallback` whether not the first choice answered, `cache` "hit" or "miss" ("" where none is
    kept), `age_s` how old a kept answer is, `degraded` the step of the route's ladder ("" for a full answer). `cost`:
    None until it is known what the answer costs. `quotas`: what is left of the caller's limits, where it has any.
    `features`: of the question, for the ledger of routes with `log_features`.
    """

    model: str = ""
    version: str = ""
    queue_s: float = 0.0
    batch_s: float = 0.0
    compute_s: float = 0.0
    batch_rows: int = 0
    cached_rows: int | None = None
    first_s: float = 0.0
    total_s: float = 0.0
    busy_s: float = 0.0
    features: str = ""
    usage: Usage | None = None
    route: str = ""
    why: str = ""
    tries: int = 1
    fallback: bool = False
    cache: str = ""
    age_s: float = 0.0
    degraded: str = ""
    cost: float | None = None
    quotas: tuple[Quota, ...] = ()

    def answered_by(self, other: Meta) -> None:
        """Takes over who answered, and what that took; not what is known of the way there."""
        self.model, self.version, self.usage = other.model, other.version, other.usage
        self.queue_s, self.batch_s, self.compute_s = other.queue_s, other.batch_s, other.compute_s
        self.first_s, self.total_s, self.busy_s = other.first_s, other.total_s, other.busy_s
        self.batch_rows, self.cached_rows = other.batch_rows, other.cached_rows


class Reply:
    """The answer to one request. It ends exactly once: with tensors, with an error, or closed.

    Awaiting it waits for the end inside the server's own exchange driver, without a task;
    `result()` does the same from any asyncio task. Abandoning either closes the reply.
    A streaming reply yields events before it ends: `async for event in reply`. `working`: somebody works on it.
    """

    __slots__ = ("_callbacks", "_end_callbacks", "_events", "_on_close", "meta", "on_alive", "outcome", "working")

    def __init__(self, meta: Meta, on_close: Callable[[], None] | None = None):
        self.meta = meta
        self.outcome: Outcome | None = None
        self._on_close = on_close
        self._callbacks: Callable[[Any], None] | list[Callable[[Any], None]] | None = None
        self._end_callbacks: tuple[Callable[[Any], None], ...] = ()
        self._events: deque[Any] | None = None
        self.on_alive: Callable[[], None] | None = None
        self.working = False

    def alive(self) -> None:
        """Says that somebody works on it, though there is no event yet: whoever watches for silence is told."""
        self.working = True
        if self.on_alive is not None:
            self.on_alive()

    @property
    def done(self) -> bool:
        """Whether the reply has ended."""
        return self.outcome is not None

    def settle(self, outcome: Outcome) -> bool:
        """Ends the reply; False when it had ended already (the first end stands)."""
        if self.outcome is not None:
            return False
        self.outcome = outcome
        self._on_close = self.on_alive = None
        self._tell()
        return True

    def _tell(self) -> None:
        """Tells everybody of the end."""
        for callback in self._end_callbacks:
            callback(self)
        self._notify()

    def emit(self, event: object) -> None:
        """Hands a streamed event to whoever iterates; ignored after the end. A reader that falls too far behind gets
        an error instead of the rest: memory is bounded."""
        self.emit_all((event,))

    def emit_all(self, more: Iterable[object]) -> None:
        """Hands several on at once: whoever iterates is told once."""
        if self.outcome is None:
            events = self._events
            if events is None:
                events = self._events = deque()
            events.extend(more)
            self._notify()
            if len(events) > UNREAD and self._events is events:
                self.abandon(SlowClient("the answer was not read as fast as it was written"))

    def hold(self, more: Iterable[object]) -> None:
        """The same for events that the end follows at once: it tells of them."""
        if self.outcome is None:
            if self._events is None:
                self._events = deque()
            self._events.extend(more)

    def close(self) -> None:
        """Gives the answer up: frees its place in the queue or batch. Does nothing after the end."""
        self.abandon(Cancelled("the request was cancelled"))

    def abandon(self, error: PenstockError) -> None:
        """Gives the answer up, for this reason. The first end stands: whoever is told to stop finds this error here,
        and cannot put another in its place, but says in `meta` what it took so far before anybody hears of the end."""
        if self.outcome is not None:
            return
        self.outcome = error
        on_close, self._on_close = self._on_close, None
        try:
            if on_close is not None:
                on_close()
        finally:
            self._tell()

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """Calls back once, synchronously, at the next event or end (at once if ended)."""
        if self.outcome is not None:
            callback(self)
        elif self._callbacks is None:
            self._callbacks = callback
        elif isinstance(self._callbacks, list):
            self._callbacks.append(callback)
        else:
            self._callbacks = [self._callbacks, callback]

    def add_end_callback(self, callback: Callable[[Any], None]) -> None:
        """Calls back once, synchronously, at the end and not before (at once if ended)."""
        if self.outcome is not None:
            callback(self)
        else:
            self._end_callbacks = (*self._end_callbacks, callback)

    def _notify(self) -> None:
        callbacks, self._callbacks = self._callbacks, None
        if callbacks is None:
            return
        if not isinstance(callbacks, list):
            callbacks(self)
            return
        for callback in callbacks:
            callback(self)

    def tensors(self) -> Tensors:
        """The outputs of an ended reply. Raises the error that it ended with."""
        outcome = self.outcome
        if isinstance(outcome, PenstockError):
            raise outcome
        if outcome is None or isinstance(outcome, Generated):
            raise RuntimeError("the reply has not ended" if outcome is None else "the reply is text, not tensors")
        return outcome

    def generated(self) -> Generated:
        """How an ended reply of generated text went. Raises the error that it ended with."""
        outcome = self.outcome
        if isinstance(outcome, PenstockError):
            raise outcome
        if not isinstance(outcome, Generated):
            raise RuntimeError("the reply has not ended" if outcome is None else "the reply is tensors, not text")
        return outcome

    async def began(self) -> None:
        """Waits for the first event or the end, without taking the event. Raises the error of a reply that ended
        without any, so that its protocol can still answer with a status of its own."""
        try:
            while self.outcome is None and not self._events:
                await self._changed()
        except BaseException:
            self.close()
            raise
        if not self._events and isinstance(self.outcome, PenstockError):
            raise self.outcome

    def __await__(self) -> Generator[Any, None, Tensors]:
        try:
            while self.outcome is None:
                yield self
        except BaseException:
            self.close()
            raise
        return self.tensors()

    async def result(self) -> Tensors:
        """Waits for the outputs, from any asyncio task. Raises the error that the reply ended with."""
        try:
            while self.outcome is None:
                await self._changed()
        except BaseException:
            self.close()
            raise
        return self.tensors()

    async def __aiter__(self) -> AsyncIterator[Any]:
        """Events as they come, until the end; raises the error that the reply ended with."""
        try:
            while True:
                while self._events:
                    yield self._events.popleft()
                if self.outcome is not None:
                    break
                await self._changed()
        finally:
            self.close()
        if isinstance(self.outcome, PenstockError):
            raise self.outcome

    def take(self) -> list[Any]:
        """The events that came and were not read yet; never waits."""
        events, self._events = self._events, None
        return list(events) if events else []

    def news(self) -> asyncio.Future[None]:
        """Done at the next event, or at the end; giving it up does the reply no harm."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.add_done_callback(partial(_wake, waiter))
        return waiter

    async def _changed(self) -> None:
        """Waits for the next event, or the end: in a task as tasks do, else as the server's own driver does."""
        if asyncio.current_task() is None:
            await _Driven(self)
        else:
            await self.news()


class _Driven:
    """Hands a reply to whatever drives the coroutine, which goes on at its next event."""

    __slots__ = ("_reply",)

    def __init__(self, reply: Reply):
        self._reply = reply

    def __await__(self) -> Generator[Reply, None, None]:
        yield self._reply


def _wake(waiter: asyncio.Future[None], _: Reply) -> None:
    if not waiter.done():
        waiter.set_result(None)
