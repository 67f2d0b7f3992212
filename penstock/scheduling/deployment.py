"""One model version in service: acts on the dispatcher's decisions with real workers and a real clock."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import msgspec

from penstock.core.clock import Clock, system_clock
from penstock.core.deadline import NEVER
from penstock.core.errors import BadInput, Cancelled, Loading, ModelFailed, PenstockError, Unavailable, by_code
from penstock.core.model import ModelSpec, ModelStats, State
from penstock.core.reply import Meta, Outcome, Reply
from penstock.core.request import Generation, Request
from penstock.core.signature import Fit, Signature
from penstock.core.tensors import Tensor, Tensors
from penstock.runtimes.contract import Runtime
from penstock.scheduling.batching import choice
from penstock.scheduling.dispatcher import Batch, Dispatcher
from penstock.scheduling.messages import Load
from penstock.scheduling.queue import WorkQueue
from penstock.scheduling.replica import ReplicaLink, batch_frame
from penstock.scheduling.settings import DeploymentSettings
from penstock.scheduling.supervision import Supervisor
from penstock.scheduling.ticket import KeyMaker, Parts, split_rows
from penstock.scheduling.work import Work
from penstock.telemetry.logs import logger
from penstock.telemetry.recorder import Recorder

log = logger("scheduling")


class Deployment:
    """A model version with its queue, batcher and workers.

    `create` makes the runtime of an inline deployment; worker processes use the registry.
    """

    def __init__(
        self,
        spec: ModelSpec,
        settings: DeploymentSettings,
        *,
        clock: Clock = system_clock,
        rng: random.Random | None = None,
        create: Callable[[str], Runtime] | None = None,
    ):
        self.spec = spec
        self.settings = settings
        self.recorder = Recorder()
        self.labels = (spec.name, spec.version)
        self.signature: Signature | None = spec.signature
        self.failure: PenstockError | None = None
        self.loaded = asyncio.Event()
        self.create = create
        self.threads = settings.threads or spec.threads
        self._clock = clock
        supervisor = Supervisor(
            settings.replicas, settings.supervision, settings.timeout_ms / 1000, rng or random.Random()
        )
        queue = WorkQueue(settings.queue_size)
        batching = settings.batching
        self.dispatcher = Dispatcher(queue, choice.create(batching), supervisor, replay=settings.pure)
        self._links = [ReplicaLink(index, self) for index in range(settings.replicas)]
        self._fit: Fit | None = None
        self._keys: KeyMaker | None = None
        self._timeout_s = settings.timeout_ms / 1000
        self._max_rows = batching.max_size
        self._poked = False
        self._timer: asyncio.TimerHandle | None = None
        self._drained: asyncio.Event | None = None
        self._closed = False
        self._last_failure = ""

    # --- what the path calls

    async def __call__(self, request: Request) -> Reply:
        """Queues a request. Raises `BadInput` when it does not fit the signature, `Unavailable`
        when the model cannot take it now."""
        fit = self._fit
        if fit is None:
            raise self._not_loaded()
        payload = request.payload
        if isinstance(payload, Generation):
            raise BadInput("this model takes tensors, not a text generation request")
        try:
            rows = fit.rows(payload)
            if request.outputs is not None:
                check_outputs(request.outputs, fit.signature)
            return self._accept(request, payload, rows)
        except PenstockError as error:
            self.recorder.error(error.code)
            raise

    def _accept(self, request: Request, tensors: Tensors, rows: int) -> Reply:
        now = self._clock()
        if rows > self._max_rows and fit_batched(self._fit):
            return self._accept_large(request, tensors, rows, now)
        work = self._work(request, tensors, rows, now)
        reply = Reply(Meta(*self.labels), partial(self._cancel, work))
        work.owner = reply
        self.dispatcher.submit(work, now)
        self._poke()
        return reply

    def _accept_large(self, request: Request, tensors: Tensors, rows: int, now: float) -> Reply:
        """Splits a request of more rows than a batch may have; all pieces are queued, or none."""
        pieces = split_rows(tensors, rows, self._max_rows)
        self.dispatcher.queue.check_room(len(pieces))
        parts = Parts(self._ended)
        reply = Reply(Meta(*self.labels), partial(self._cancel_all, parts))
        parts.owner = reply
        for piece in pieces:
            count = next(iter(piece.values())).array.shape[0]
            work = self._work(request, piece, count, now)
            work.on_end = parts.part_ended
            parts.works.append(work)
        for work in parts.works:
            self.dispatcher.submit(work, now)
        self._poke()
        return reply

    def _cancel_all(self, parts: Parts) -> None:
        for work in parts.works:
            self._cancel(work)

    def _work(self, request: Request, tensors: Tensors, rows: int, now: float) -> Work:
        deadline = request.deadline if request.deadline != NEVER else now + self._timeout_s
        assert self._keys is not None
        key = self._keys.key(tensors) if rows else ("no rows",)
        return Work(tensors, rows, self._ended, key=key, level=request.priority, deadline=deadline)

    def _cancel(self, work: Work) -> None:
        self.dispatcher.cancel(work, Cancelled("the request was cancelled"))

    def _ended(self, work: Work, outcome: Outcome) -> None:
        """A request's only end: numbers, then the reply."""
        reply: Reply = work.owner
        if isinstance(outcome, PenstockError):
            if work.rows == 0 and isinstance(outcome, ModelFailed):
                outcome = BadInput("the model does not take a request of zero rows")
            self.recorder.error(outcome.code)
        else:
            meta = reply.meta
            meta.queue_s = work.free - work.arrived
            meta.batch_s = work.started - work.free
            meta.compute_s = work.compute_s
            meta.batch_rows = work.batch_rows
            self.recorder.request(work.finished - work.arrived, meta.queue_s, meta.batch_s, meta.compute_s)
        reply.settle(outcome)
        if self._drained is not None:
            self._poke()

    # --- how it is seen

    @property
    def state(self) -> State:
        """The truth about the workers."""
        if self.failure is not None:
            return State.FAILED
        if self.dispatcher.draining:
            return State.DRAINING
        supervisor = self.dispatcher.supervisor
        if supervisor.up:
            return State.READY
        return State.UNAVAILABLE if supervisor.was_ready else State.LOADING

    @property
    def reason(self) -> str:
        """Why it is not ready, for people."""
        if self.failure is not None:
            return self.failure.message
        return {
            State.UNAVAILABLE: f"no worker is up; the last one ended: {self._last_failure}",
            State.LOADING: "loading",
            State.DRAINING: "finishing accepted work",
        }.get(self.state, "")

    @property
    def stats(self) -> ModelStats:
        """Totals since start."""
        phases = self.recorder.phases()
        return ModelStats(
            requests=phases["total"].count,
            failures=sum(self.recorder.errors.values()),
            rows=self.recorder.rows,
            batches=self.recorder.batch_rows().count,
            queue_s=phases["queue"].sum,
            batch_s=phases["batch"].sum,
            compute_s=phases["compute"].sum,
            last_request_at=self.recorder.last_request_at,
            batch_sizes=dict(self.recorder.by_size),
        )

    def config(self) -> dict[str, Any]:
        """The settings in force, as plain data."""
        plain: dict[str, Any] = msgspec.to_builtins(self.settings)
        return plain

    def gauges(self) -> dict[str, float]:
        """What the metrics page shows of the present."""
        supervisor = self.dispatcher.supervisor
        return {
            "queue_depth": len(self.dispatcher.queue),
            "in_flight": self.dispatcher.running,
            "workers": supervisor.up,
            "worker_restarts": supervisor.restarts,
        }

    def worker_pids(self) -> list[int]:
        """Process ids of the workers that run."""
        return [link.pid for link in self._links if link.pid is not None]

    def _not_loaded(self) -> PenstockError:
        if self.failure is not None:
            return Unavailable("the model could not be loaded; see the server's log", retry_after_s=30)
        return Loading("the model is loading; try again shortly")

    # --- life

    def start(self, threads: int = 1) -> None:
        """Begins to load, inside a running event loop. `threads`: a worker's share of the cores."""
        self.threads = self.settings.threads or threads
        self._poke()

    async def drain(self, patience_s: float) -> None:
        """Takes no more work, finishes what was accepted (up to `patience_s`), then stops the workers."""
        self.dispatcher.draining = True
        self._drained = asyncio.Event()
        self._poke()
        try:
            await asyncio.wait_for(self._drained.wait(), patience_s)
        except TimeoutError:
            log.warning("drain_timeout", model=self.spec.name, seconds=patience_s)
        await self.close()

    async def close(self) -> None:
        """Ends everything now."""
        self._closed = True
        self.dispatcher.draining = True
        self.dispatcher.fail_all(Unavailable("the server is stopping"))
        if self._timer is not None:
            self._timer.cancel()
        await asyncio.gather(*(link.close() for link in self._links))

    # --- acting on decisions

    def _poke(self) -> None:
        """Decides once, after everything that this turn of the event loop brings."""
        if not self._poked:
            self._poked = True
            asyncio.get_running_loop().call_soon(self._act)

    def _act(self) -> None:
        self._poked = False
        if self._closed:
            return
        decisions = self.dispatcher.decide(self._clock())
        for replica_id in decisions.kill:
            log.error("worker_hung", model=self.spec.name, replica=replica_id)
            self._links[replica_id].kill()
        for replica_id in decisions.spawn:
            if self.failure is None:
                self._links[replica_id].spawn()
        for replica_id, batch in decisions.start:
            self._send(replica_id, batch)
        if self._drained is not None and self.dispatcher.idle:
            self._drained.set()
        self._arm(decisions.wake_at)

    def _send(self, replica_id: int, batch: Batch) -> None:
        assert self.signature is not None
        rows = self.settings.batching.padded(batch.rows) if self.signature.batched else batch.rows
        rows = self.signature.fixed_rows or rows
        buffers, nbytes = batch_frame(batch, self.signature, rows)
        self._links[replica_id].send(buffers, nbytes)

    def _arm(self, wake_at: float) -> None:
        """One timer, moved only when it would ring too late."""
        if wake_at == math.inf:
            return
        timer, loop = self._timer, asyncio.get_running_loop()
        delay = max(0.0, wake_at - self._clock())
        if timer is not None and not timer.cancelled():
            if timer.when() <= loop.time() + delay + 0.001:
                return
            timer.cancel()
        self._timer = loop.call_later(delay, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._act()

    # --- what the links report

    def load_message(self) -> Load:
        """What a new worker is told first."""
        sizes = {1, *self.settings.batching.buckets}
        if self.spec.signature is not None and self.spec.signature.fixed_rows:
            sizes = {self.spec.signature.fixed_rows}
        spec = msgspec.structs.replace(self.spec, threads=self.threads)
        return Load(spec, tuple(sorted(sizes)))

    def replica_ready(self, replica_id: int, signature: Signature, seconds: float) -> None:
        """A worker has loaded."""
        if self._fit is None:
            self.signature = signature
            self._fit = Fit.of(signature)
            self._keys = KeyMaker(signature)
            if signature.fixed_rows:
                self._max_rows = min(self._max_rows, signature.fixed_rows)
                self.dispatcher.batcher = choice.create(limited(self.settings, signature.fixed_rows))
        self.dispatcher.ready(replica_id, self._clock())
        log.info("worker_ready", model=self.spec.name, replica=replica_id, seconds=round(seconds, 3))
        self.loaded.set()
        self._poke()

    def load_failed(self, replica_id: int, code: str, message: str, detail: str) -> None:
        """A worker cannot load. The first time this is final; later it counts as a crash."""
        self._last_failure = message
        log.error("load_failed", model=self.spec.name, reason=message, detail=detail)
        if not self.dispatcher.supervisor.was_ready:
            self.failure = by_code(code)(message)
            self.dispatcher.fail_all(self._not_loaded())
            self.loaded.set()

    def replica_ran(self, replica_id: int, outputs: dict[str, Tensor], compute_s: float) -> None:
        """A batch came back."""
        batch = self.dispatcher.supervisor.replicas[replica_id].batch
        if isinstance(batch, Batch):
            self.recorder.batch(batch.rows, compute_s)
        assert self.signature is not None
        cut = partial(cut_rows, outputs) if self.signature.batched else partial(whole, outputs)
        self.dispatcher.completed(replica_id, cut, compute_s, self._clock())
        self._poke()

    def replica_failed(self, replica_id: int, error: PenstockError) -> None:
        """The model raised on a batch."""
        if error.status >= 500:
            log.error("model_failed", model=self.spec.name, reason=error.message, detail=error.detail)
        self.dispatcher.failed(replica_id, error, self._clock())
        self._poke()

    def replica_exited(self, replica_id: int, how: str) -> None:
        """A worker process has ended."""
        if self._closed:
            return
        if not self.failure:
            self._last_failure = how
            log.error("worker_exited", model=self.spec.name, replica=replica_id, how=how)
        self.dispatcher.exited(replica_id, self._clock())
        self._poke()


def check_outputs(names: Iterable[str], signature: Signature) -> None:
    """Raises `BadInput` for an output that the model does not have."""
    known = signature.output_names()
    for name in names:
        if name not in known:
            raise BadInput(f"unknown output {name[:64]!r}; the model gives: {', '.join(known[:20])}")


def fit_batched(fit: Fit | None) -> bool:
    """Whether rows of different requests may run together."""
    return fit is not None and fit.signature.batched


def limited(settings: DeploymentSettings, rows: int) -> Any:
    """Batching settings for a model that takes at most `rows` rows at a time."""
    size = min(settings.batching.max_size, rows)
    return msgspec.structs.replace(settings.batching, max_size=size, buckets=())


def cut_rows(outputs: dict[str, Tensor], start: int, stop: int) -> Tensors:
    """The rows of one request (views)."""
    return {name: Tensor(tensor.datatype, tensor.array[start:stop]) for name, tensor in outputs.items()}


def whole(outputs: dict[str, Tensor], start: int, stop: int) -> Tensors:
    """The outputs of a model without a batch axis, which runs one request at a time."""
    return outputs
