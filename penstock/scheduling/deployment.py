"""One model version in service: acts on the dispatcher's decisions with real workers and a real clock."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from penstock.core.clock import Clock, system_clock
from penstock.core.errors import Loading, ModelFileError, PenstockError, Unavailable, by_code
from penstock.core.model import ModelSpec, ModelStats, State
from penstock.core.reply import Reply
from penstock.core.request import Request
from penstock.core.signature import Signature
from penstock.core.tensors import Tensor, Tensors
from penstock.runtimes.contract import Runtime
from penstock.scheduling.batching import choice
from penstock.scheduling.batching.policy import BatchingSettings
from penstock.scheduling.batching.single import SingleBatcher
from penstock.scheduling.dispatcher import Batch, Dispatcher
from penstock.scheduling.intake import Intake, Limits
from penstock.scheduling.messages import Load
from penstock.scheduling.queue import WorkQueue
from penstock.scheduling.replica import ReplicaLink, batch_frame
from penstock.scheduling.settings import DeploymentSettings
from penstock.scheduling.status import gauges_of, reason_of, state_of
from penstock.scheduling.supervision import Supervisor
from penstock.scheduling.text_intake import TextIntake
from penstock.telemetry.logs import logger
from penstock.telemetry.recorder import Recorder

log = logger("scheduling")
DRAIN_POLL_S = 0.02
LOAD_TRIES = 2
"""Workers that may die while they load a model for the first time before it is given up."""


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
        self.url = ""
        self._clock = clock
        supervisor = Supervisor(
            settings.replicas, settings.supervision, settings.timeout_ms / 1000, rng or random.Random()
        )
        queue = WorkQueue(settings.queue_size)
        batching = settings.batching
        self.dispatcher = Dispatcher(queue, choice.create(batching), supervisor, replay=settings.pure)
        self._links = [ReplicaLink(index, self) for index in range(settings.replicas)]
        self._intake: Intake | None = None
        self._poked = False
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._last_end = ""
        self._load_error = ""

    async def __call__(self, request: Request) -> Reply:
        """Queues a request. Raises `BadInput` when it does not fit the signature, `Unavailable`
        when the model cannot take it now."""
        if self._intake is None:
            raise self._not_loaded()
        reply = self._intake.accept(request, self._clock())
        self._poke()
        return reply

    # --- how it is seen

    @property
    def state(self) -> State:
        """The truth about the workers."""
        return state_of(self.dispatcher, self.failure)

    @property
    def reason(self) -> str:
        """Why it is not ready, for people."""
        return reason_of(self.state, self.failure, self._last_end)

    @property
    def stats(self) -> ModelStats:
        """Totals since start."""
        return self.recorder.stats()

    def config(self) -> dict[str, Any]:
        """The settings in force, as plain data."""
        plain: dict[str, Any] = msgspec.to_builtins(self.settings)
        batching, signature = self.settings.batching, self.signature
        plain["batching"]["max_size"] = batching.max_rows
        if signature is not None and signature.max_tokens:
            budget = batching.token_budget(self.spec.device)
            plain["batching"] |= {"max_size": batching.max_size or budget, "max_tokens": budget}
        return plain

    def gauges(self) -> dict[str, float]:
        """What the metrics page shows of the present."""
        return gauges_of(self.dispatcher)

    def _not_loaded(self) -> PenstockError:
        if self.failure is not None:
            return Unavailable("the model could not be loaded; see the server's log", retry_after_s=30)
        return Loading("the model is loading; try again shortly")

    # --- life

    def start(self, threads: int = 1, url: str = "") -> None:
        """Begins to load, inside a running event loop.

        `threads`: a worker's share of the cores. `url`: where the server answers, for models that call others.
        """
        self.url = url
        self.threads = self.settings.threads or threads
        self._poke()

    async def drain(self, patience_s: float) -> None:
        """Takes no more work, finishes what was accepted (up to `patience_s`), then stops the workers."""
        self.dispatcher.draining = True
        until = self._clock() + patience_s
        while not self.dispatcher.idle and self._clock() < until:
            self._poke()
            await asyncio.sleep(DRAIN_POLL_S)
        if not self.dispatcher.idle:
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
        try:
            if not self._closed:
                self._decide()
        finally:
            if self._intake is not None:
                self._intake.release()

    def _decide(self) -> None:
        decisions = self.dispatcher.decide(self._clock())
        for replica_id in decisions.kill:
            log.error("worker_hung", model=self.spec.name, replica=replica_id)
            self._links[replica_id].kill()
        for replica_id in decisions.spawn:
            if self.failure is None:
                self._links[replica_id].spawn()
        for replica_id, batch in decisions.start:
            self._send(replica_id, batch)
        self._arm(decisions.wake_at)

    def _send(self, replica_id: int, batch: Batch) -> None:
        assert self.signature is not None
        rows = batch.rows
        if self.signature.batched and rows:
            rows = self.signature.fixed_rows or self.settings.batching.padded(rows)
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
        if self._intake is None:
            self._open(signature)
        self.dispatcher.ready(replica_id, self._clock())
        log.info("worker_ready", model=self.spec.name, replica=replica_id, seconds=round(seconds, 3))
        self.loaded.set()
        self._poke()

    def _open(self, signature: Signature) -> None:
        """The model's signature is known: requests can be taken."""
        self.signature = signature
        batching = self.settings.batching
        max_rows: int | None = batching.max_rows
        max_tokens: int | None = None
        if not signature.batched:
            max_rows, self.dispatcher.batcher = None, SingleBatcher()
        elif signature.fixed_rows:
            max_rows = min(batching.max_rows, signature.fixed_rows)
            self.dispatcher.batcher = choice.create(limited(batching, max_rows))
        elif batching.policy == "none":
            max_rows = None
        elif signature.max_tokens:
            max_rows, max_tokens = batching.max_size, batching.token_budget(self.spec.device)
            self.dispatcher.batcher = choice.create_for_tokens(batching, max_tokens)
        limits = Limits(
            timeout_s=self.settings.timeout_ms / 1000,
            max_timeout_s=max(self.settings.timeout_ms, self.settings.max_timeout_ms) / 1000,
            max_rows=max_rows,
            max_tokens=max_tokens,
        )
        kind = Intake if max_tokens is None else TextIntake
        self._intake = kind(signature, self.labels, self.dispatcher, self.recorder, limits)

    def load_failed(self, replica_id: int, code: str, message: str, detail: str) -> None:
        """A worker cannot load. The first time this is final; later it counts as a crash."""
        self._load_error = "it could not load the model again; the log says why"
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
        assert self._intake is not None
        cut = partial(cut_rows, outputs) if self.signature.batched else partial(whole, outputs)
        self._intake.holding = True
        try:
            self.dispatcher.completed(replica_id, cut, compute_s, self._clock())
        finally:
            self._intake.holding = False
        self._poke()

    def replica_failed(self, replica_id: int, error: PenstockError) -> None:
        """The model raised on a batch."""
        self.dispatcher.failed(replica_id, error, self._clock())
        self._poke()

    def replica_exhausted(self, replica_id: int) -> None:
        """A worker ran out of memory: a new one starts small."""
        log.error("worker_exhausted", model=self.spec.name, replica=replica_id)
        self.dispatcher.supervisor.recycle(replica_id, self._clock())
        self._links[replica_id].kill()

    def replica_exited(self, replica_id: int, how: str) -> None:
        """A worker process has ended."""
        if self._closed:
            return
        if not self.failure:
            self._last_end = self._load_error or how
            self._load_error = ""
            log.error("worker_exited", model=self.spec.name, replica=replica_id, how=how)
        self.dispatcher.exited(replica_id, self._clock())
        supervisor = self.dispatcher.supervisor
        if not (supervisor.was_ready or self.failure) and supervisor.replicas[replica_id].deaths >= LOAD_TRIES:
            message = f"the worker died while it loaded the model ({how}); the file may be damaged, or memory too small"
            self.load_failed(replica_id, ModelFileError.code, message, "")
        self._poke()


def limited(batching: BatchingSettings, rows: int) -> BatchingSettings:
    """Batching settings for a model that takes at most `rows` rows at a time."""
    return msgspec.structs.replace(batching, max_size=min(batching.max_rows, rows), buckets=())


def cut_rows(outputs: dict[str, Tensor], start: int, stop: int) -> Tensors:
    """The rows of one request (views)."""
    return {name: Tensor(tensor.datatype, tensor.array[start:stop]) for name, tensor in outputs.items()}


def whole(outputs: dict[str, Tensor], start: int, stop: int) -> Tensors:
    """The outputs of a model without a batch axis, which runs one request at a time."""
    return outputs
