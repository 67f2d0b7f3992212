"""From a request to queued work, and from its end to the reply."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from penstock.core.deadline import NEVER
from penstock.core.errors import BadInput, Cancelled, ModelFailed, PenstockError, TooLarge
from penstock.core.generation import Generation
from penstock.core.reply import Meta, Outcome, Reply
from penstock.core.request import Request
from penstock.core.signature import Fit, Signature
from penstock.core.tensors import Tensors
from penstock.scheduling.dispatcher import Dispatcher
from penstock.scheduling.ticket import KeyMaker, Parts, Span, cut, spans
from penstock.scheduling.turns import place_of
from penstock.scheduling.work import OnEnd, Work
from penstock.telemetry.logs import logger
from penstock.telemetry.recorder import Recorder

log = logger("scheduling")


class Limits(NamedTuple):
    """What one model's requests may be.

    `timeout_s`: for requests without a deadline; `max_timeout_s`: the longest that one may ask for.
    `max_rows`, `max_tokens`: larger requests are split (None: never).
    """

    timeout_s: float
    max_timeout_s: float
    max_rows: int | None = None
    max_tokens: int | None = None


class Intake:
    """Checks requests against one signature, queues them, and settles their replies."""

    def __init__(
        self,
        signature: Signature,
        labels: tuple[str, str],
        dispatcher: Dispatcher,
        recorder: Recorder,
        limits: Limits,
    ):
        self._signature = signature
        self._labels = labels
        self._dispatcher = dispatcher
        self._recorder = recorder
        self._limits = limits
        self._held: list[tuple[Reply, Outcome]] = []
        self.holding = False
        self._fit = Fit.of(signature)
        self._keys = KeyMaker(signature)

    def accept(self, request: Request, now: float) -> Reply:
        """Queues a request. Raises `BadInput` when it does not fit, `Unavailable` when it cannot wait."""
        try:
            tensors = request.payload
            if isinstance(tensors, Generation):
                raise BadInput("this model takes tensors, not a text generation request")
            rows = self._fit.rows(tensors)
            if request.outputs is not None:
                self._check_outputs(request.outputs)
            return self._queue(request, tensors, rows, now)
        except PenstockError as error:
            self._recorder.error(error.code)
            raise

    def _queue(self, request: Request, tensors: Tensors, rows: int, now: float) -> Reply:
        """Queues a request that fits, whole or in pieces."""
        size = self._limits.max_rows
        if size is not None and rows > size:
            self._check_pieces(-(-rows // size), f"{self._dispatcher.queue.capacity * size} rows")
            return self._queue_pieces(request, tensors, spans(rows, size), now)
        work = self._work(request, tensors, rows, now, self._ended)
        reply = work.owner = Reply(Meta(*self._labels), partial(self._cancel, work))
        self._dispatcher.submit(work, now)
        return reply

    def _queue_pieces(self, request: Request, tensors: Tensors, pieces: Sequence[Span], now: float) -> Reply:
        """Queues consecutive pieces of a request: all of them, or none."""
        parts = Parts(self._ended, self._cancel)
        reply = parts.owner = Reply(Meta(*self._labels), partial(self._cancel_all, parts))
        for start, stop in pieces:
            work = self._work(request, cut(tensors, start, stop), stop - start, now, parts.part_ended)
            work.first = start
            parts.works.append(work)
        for number, work in enumerate(parts.works):
            try:
                self._dispatcher.submit(work, now)
            except PenstockError:
                parts.on_end = _nobody_waits
                del parts.works[number:]
                self._cancel_all(parts)
                raise
        return reply

    def _check_pieces(self, pieces: int, most: str) -> None:
        """Raises `TooLarge` for a request that could never be queued whole, `Overloaded` for one that cannot now."""
        queue = self._dispatcher.queue
        if pieces > queue.capacity:
            raise TooLarge(f"at most {most} in one request; send it in several")
        queue.check_room(pieces)

    def _work(self, request: Request, tensors: Tensors, rows: int, now: float, on_end: OnEnd) -> Work:
        deadline = request.deadline if request.deadline != NEVER else now + self._limits.timeout_s
        if deadline > now + self._limits.max_timeout_s:
            raise BadInput(f"timeout_ms may be at most {self._limits.max_timeout_s * 1000:.0f} for this model")
        key = self._keys.key(tensors) if rows else ("no rows",)
        place = place_of(request.tenant) if request.tenant else 0
        return Work(
            tensors,
            rows,
            on_end,
            key=key,
            level=request.priority,
            deadline=deadline,
            place=place,
            weight=request.weight,
        )

    def _check_outputs(self, names: tuple[str, ...]) -> None:
        known = self._signature.output_names()
        for name in names:
            if name not in known:
                raise BadInput(f"unknown output {name[:64]!r}; the model gives: {', '.join(known[:20])}")

    def _cancel(self, work: Work) -> None:
        self._dispatcher.cancel(work, Cancelled("the request was cancelled"))

    def _cancel_all(self, parts: Parts) -> None:
        for work in parts.works:
            self._cancel(work)

    def _ended(self, work: Work, outcome: Outcome) -> None:
        """A request's only end: numbers, then the reply."""
        reply: Reply = work.owner
        if isinstance(outcome, PenstockError):
            if work.rows == 0 and isinstance(outcome, ModelFailed):
                outcome = BadInput("the model does not take a request of zero rows")
            self._recorder.error(outcome.code)
        else:
            meta = reply.meta
            meta.queue_s = work.free - work.arrived
            meta.batch_s = work.started - work.free
            meta.compute_s = work.compute_s
            meta.busy_s = work.busy_s
            meta.batch_rows = work.batch_rows
            self._recorder.request(work.finished - work.arrived, meta.queue_s, meta.batch_s, meta.compute_s)
        if self.holding:
            self._held.append((reply, outcome))
        else:
            self._settle(reply, outcome)

    def release(self) -> None:
        """Settles the replies that ended while `holding` was set: encoding them may take longer than deciding what
        the worker, idle by now, runs next."""
        held, self._held = self._held, []
        for reply, outcome in held:
            self._settle(reply, outcome)

    def _settle(self, reply: Reply, outcome: Outcome) -> None:
        try:
            reply.settle(outcome)
        except Exception:
            # Whoever waits must not harm the rest of the batch.
            log.exception("reply_broken", model=self._labels[0])


def _nobody_waits(work: Work, outcome: Outcome) -> None:
    """The end of a request that was refused before it was accepted."""
