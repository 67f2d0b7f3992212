"""One model version in service: acts on the dispatcher's decisions with real workers and a real clock."""

from __future__ import annotations

import random
from functools import partial
from typing import Any

import msgspec

from penstock.core.clock import Clock, system_clock
from penstock.core.model import ModelSpec
from penstock.core.reply import Reply
from penstock.core.request import Request
from penstock.core.signature import Signature
from penstock.core.tensors import Tensor, Tensors
from penstock.scheduling.batching import choice
from penstock.scheduling.batching.policy import BatchingSettings
from penstock.scheduling.batching.single import SingleBatcher
from penstock.scheduling.dispatcher import Batch, Dispatcher
from penstock.scheduling.frames import unpack
from penstock.scheduling.intake import Intake, Limits
from penstock.scheduling.messages import Load, Ran, RunFailed
from penstock.scheduling.queue import WorkQueue
from penstock.scheduling.replica import batch_frame, error_of
from penstock.scheduling.service import Create, Service
from penstock.scheduling.settings import DeploymentSettings
from penstock.scheduling.status import gauges_of
from penstock.scheduling.supervision import Supervisor
from penstock.scheduling.text_intake import TextIntake
from penstock.telemetry.logs import logger

log = logger("scheduling")


class Deployment(Service):
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
        create: Create | None = None,
    ):
        super().__init__(spec, settings, clock=clock, create=create)
        supervisor = Supervisor(
            settings.replicas, settings.supervision, settings.timeout_ms / 1000, rng or random.Random()
        )
        queue = WorkQueue(settings.queue_size)
        batcher = choice.create(settings.batching)
        self.dispatcher = self.decider = Dispatcher(queue, batcher, supervisor, replay=settings.pure)
        self._intake: Intake | None = None

    async def __call__(self, request: Request) -> Reply:
        """Queues a request. Raises `BadInput` when it does not fit the signature, `Unavailable`
        when the model cannot take it now."""
        if self._intake is None:
            raise self._not_loaded()
        reply = self._intake.accept(request, self._clock())
        self._poke()
        return reply

    def config(self) -> dict[str, Any]:
        """The settings in force, as plain data."""
        plain = super().config()
        batching, signature = self.settings.batching, self.signature
        plain["batching"]["max_size"] = batching.max_rows
        if signature is not None and signature.max_tokens:
            budget = batching.token_budget(self.spec.device)
            plain["batching"] |= {"max_size": batching.max_size or budget, "max_tokens": budget}
        return plain

    def gauges(self) -> dict[str, float]:
        """What the metrics page shows of the present."""
        return gauges_of(self.dispatcher)

    @property
    def load(self) -> float:
        """Requests that run and wait, per place in the workers' batches."""
        gauges = self.gauges()
        places = self.settings.replicas * (self.settings.batching.max_rows or 1)
        return (gauges["in_flight"] + gauges["queue_depth"]) / max(1, places)

    # --- acting on decisions

    def _decide(self) -> float:
        decisions = self.dispatcher.decide(self._clock())
        self._workers(decisions.spawn, decisions.kill)
        for replica_id, batch in decisions.start:
            self._send(replica_id, batch)
        return decisions.wake_at

    def _released(self) -> None:
        if self._intake is not None:
            self._intake.release()

    def _send(self, replica_id: int, batch: Batch) -> None:
        assert self.signature is not None
        rows = batch.rows
        if self.signature.batched and rows:
            rows = self.signature.fixed_rows or self.settings.batching.padded(rows)
        buffers, nbytes = batch_frame(batch, self.signature, rows)
        self._links[replica_id].send(buffers, nbytes)

    # --- what the links report

    def load_message(self) -> Load:
        """What a new worker is told first."""
        sizes = {1, *self.settings.batching.buckets}
        if self.spec.signature is not None and self.spec.signature.fixed_rows:
            sizes = {self.spec.signature.fixed_rows}
        spec = msgspec.structs.replace(self.spec, threads=self.threads)
        return Load(spec, tuple(sorted(sizes)))

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

    def replica_ran(self, replica_id: int, message: Ran, body: memoryview) -> None:
        """A batch came back."""
        outputs = unpack(message.outputs, body)
        batch = self.dispatcher.supervisor.replicas[replica_id].batch
        if isinstance(batch, Batch):
            self.recorder.batch(batch.rows, message.compute_s)
        assert self.signature is not None
        assert self._intake is not None
        cut = partial(cut_rows, outputs) if self.signature.batched else partial(whole, outputs)
        self._intake.holding = True
        try:
            self.dispatcher.completed(replica_id, cut, message.compute_s, self._clock())
        finally:
            self._intake.holding = False
        self._poke()

    def replica_failed(self, replica_id: int, message: RunFailed) -> None:
        """The model raised on a batch."""
        self.dispatcher.failed(replica_id, error_of(message), self._clock())
        if message.exhausted:
            self._exhausted(replica_id)
        self._poke()

    def _exhausted(self, replica_id: int) -> None:
        """A worker ran out of memory: a new one starts small."""
        log.error("worker_exhausted", model=self.spec.name, replica=replica_id)
        self.dispatcher.supervisor.recycle(replica_id, self._clock())
        self._links[replica_id].kill()


def limited(batching: BatchingSettings, rows: int) -> BatchingSettings:
    """Batching settings for a model that takes at most `rows` rows at a time."""
    return msgspec.structs.replace(batching, max_size=min(batching.max_rows, rows), buckets=())


def cut_rows(outputs: dict[str, Tensor], start: int, stop: int) -> Tensors:
    """The rows of one request (views)."""
    return {name: Tensor(tensor.datatype, tensor.array[start:stop]) for name, tensor in outputs.items()}


def whole(outputs: dict[str, Tensor], start: int, stop: int) -> Tensors:
    """The outputs of a model without a batch axis, which runs one request at a time."""
    return outputs
