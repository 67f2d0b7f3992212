"""A provider's model in service: it lives in the server's process, on the event loop, and only waits for bytes."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from functools import partial
from typing import Any

import msgspec

from penstock.core.clock import Clock, system_clock
from penstock.core.deadline import NEVER, Deadline
from penstock.core.errors import (
    BadInput,
    Cancelled,
    ConfigError,
    DeadlineExceeded,
    Draining,
    Internal,
    Loading,
    PenstockError,
    Unavailable,
    Unloaded,
    by_code,
)
from penstock.core.model import ModelSpec, ModelStats, State
from penstock.core.reply import Meta, Outcome, Reply
from penstock.core.request import Request
from penstock.core.signature import Signature
from penstock.runtimes.remote import choice, secrets
from penstock.runtimes.remote.client import Client
from penstock.runtimes.remote.contract import RemoteModel
from penstock.scheduling.continuous.job import Job
from penstock.scheduling.continuous.line import FairLine
from penstock.scheduling.remote.job import RemoteJob
from penstock.scheduling.service import STOPPING, UNLOADED, Create
from penstock.scheduling.settings import DeploymentSettings
from penstock.scheduling.work import Phase
from penstock.telemetry.logs import logger
from penstock.telemetry.recorder import Recorder

log = logger("scheduling")
_HIDDEN = ("key", "url", "headers", "extra")


class RemoteDeployment(ABC):
    """A provider's model with its line and its calls; seen from outside, as a model with workers is."""

    def __init__(
        self,
        spec: ModelSpec,
        settings: DeploymentSettings,
        *,
        clock: Clock = system_clock,
        create: Create | None = None,
    ):
        self.spec = spec
        self.settings = settings
        self.create = create
        self.model = msgspec.convert(spec.options, RemoteModel)
        self.dialect = choice.dialect(self.model.provider)
        self.provider = shown(self.model)
        self.recorder = Recorder()
        self.labels = (spec.name, spec.version)
        self.signature: Signature | None = None
        self.failure: PenstockError | None = None
        self.loaded = asyncio.Event()
        self.parked = False
        self.draining = False
        self.key = ""
        self.threads = 0
        self.client: Client | None = None
        self._clock = clock
        self._line = FairLine(self.model.queue_size, settings.generation.queue_tokens)
        self._running: set[RemoteJob] = set()

    @abstractmethod
    def _signature(self) -> Signature:
        """What it takes and gives, as far as known before it was asked."""

    @abstractmethod
    def _job(self, request: Request, now: float) -> RemoteJob:
        """The work that a request is. Raises `BadInput` for one that is none for this model."""

    @abstractmethod
    async def _work(self, job: RemoteJob) -> Outcome:
        """Asks the provider. May end the job itself, before it returns."""

    @abstractmethod
    def _ended(self, job: Job, outcome: Outcome) -> None:
        """A request's only end: numbers, then the reply."""

    async def __call__(self, request: Request) -> Reply:
        """Takes a request. Raises `BadInput` for one that is none for this model, `Unavailable` when it cannot wait."""
        if self.client is None or self.draining:
            raise self._not_ready()
        now = self._clock()
        try:
            job = self._job(request, now)
            reply = job.owner = Reply(Meta(*self.labels), partial(self._left, job))
            job.arrived = now
            self._admit(job, now)
        except PenstockError as error:
            self.recorder.error(error.code)
            raise
        return reply

    def _admit(self, job: RemoteJob, now: float) -> None:
        """A job begins, or waits. Raises `Overloaded` where it cannot even wait."""
        if not len(self._line) and len(self._running) < self.model.max_concurrency:
            self._line.enter(job)
            self._begin(job, now)
            return
        self._line.push(job)
        self._pump(now)
        if job.phase is Phase.QUEUED:
            job.timer = asyncio.get_running_loop().call_later(max(0.0, job.deadline - now), self._expired, job)

    def _deadline(self, request: Request, now: float, longest_ms: float) -> Deadline:
        """When a request must be answered. Raises `BadInput` for one that asks for too long a time."""
        if request.deadline == NEVER:
            return now + self.model.timeout_ms / 1000
        if request.deadline > now + max(longest_ms, self.model.timeout_ms) / 1000:
            raise BadInput(f"timeout_ms may be at most {max(longest_ms, self.model.timeout_ms):.0f} for this model")
        return request.deadline

    def _hide(self, outcome: Outcome) -> None:
        """Takes what is secret out of an error, whoever has raised it."""
        if isinstance(outcome, PenstockError) and self.client is not None:
            self.client.hide(outcome)

    # --- work

    def _pump(self, now: float) -> None:
        """Begins what has a place."""
        while len(self._running) < self.model.max_concurrency and (job := self._line.head()) is not None:
            assert isinstance(job, RemoteJob)
            self._line.take(job)
            job.rest()
            self._begin(job, now)

    def _begin(self, job: RemoteJob, now: float) -> None:
        """A job's place is free: the provider is asked."""
        job.phase = Phase.RUNNING
        job.started = now
        self._running.add(job)
        job.task = asyncio.get_running_loop().create_task(self._run(job))
        # Not at the end of `_run`: a task that is cancelled before its first step runs none of it.
        job.task.add_done_callback(partial(self._free, job))
        job.owner.alive()

    async def _run(self, job: RemoteJob) -> None:
        """One job from its place to its end; nothing that happens in it harms another."""
        try:
            outcome = await self._work(job)
        except PenstockError as error:
            outcome = error.with_traceback(None)
        except asyncio.CancelledError:
            outcome = Cancelled("the request was cancelled")
        except Exception:
            log.exception("bug", model=self.spec.name)
            outcome = Internal("an internal error; the log says more")
        try:
            job.end(outcome)
        except Exception:
            # Whoever waits must not harm the others.
            log.exception("reply_broken", model=self.spec.name)

    def _free(self, job: RemoteJob, _: asyncio.Task[None]) -> None:
        """Its place is another's."""
        self._running.discard(job)
        self._line.settle(job, job.tokens)
        self._pump(self._clock())

    def _left(self, job: RemoteJob) -> None:
        """Nobody waits for it any more; the reply knows why."""
        outcome = job.owner.outcome
        self._drop(job, outcome if isinstance(outcome, PenstockError) else Cancelled("the request was cancelled"))

    def _drop(self, job: RemoteJob, error: PenstockError) -> None:
        """Gives a job up, wherever it is."""
        waited = job.phase is Phase.QUEUED
        job.rest()
        if job.end(error) and waited:
            self._line.gone(job)
        elif job.task is not None:
            job.task.cancel()

    def _expired(self, job: RemoteJob) -> None:
        if job.phase is Phase.QUEUED:
            self._drop(job, DeadlineExceeded(f"the time given has passed while it waited to ask {self.provider}"))

    # --- how it is seen

    @property
    def state(self) -> State:
        """Ready once it was started: whether the provider answers is told by its answers."""
        if self.parked:
            return State.UNLOADED
        if self.failure is not None:
            return State.FAILED
        if self.draining:
            return State.DRAINING
        return State.LOADING if self.client is None else State.READY

    @property
    def reason(self) -> str:
        """Why it is not ready, for people."""
        return "" if self.state is State.READY else self._not_ready().message

    @property
    def stats(self) -> ModelStats:
        """Totals since start."""
        return self.recorder.stats()

    @property
    def pids(self) -> list[int]:
        """It has no worker processes."""
        return []

    @property
    def load(self) -> float:
        """Requests under way and waiting, per call at once."""
        return (len(self._running) + len(self._line)) / max(1, self.model.max_concurrency)

    @property
    def idle(self) -> bool:
        """Whether nothing is under way."""
        return not self._running and not len(self._line)

    def config(self) -> dict[str, Any]:
        """The settings in force, as plain data; where its key is, and where the provider is, are nobody's business."""
        plain: dict[str, Any] = msgspec.to_builtins(self.settings)
        own = msgspec.to_builtins(self.model)
        return {**plain, **{name: value for name, value in own.items() if name not in _HIDDEN}, "replicas": 1}

    def gauges(self) -> dict[str, float]:
        """What the metrics page shows of the present."""
        return {
            "queue_depth": len(self._line),
            "in_flight": len(self._running),
            "workers": 0,
            "worker_restarts": 0,
        }

    def _not_ready(self) -> PenstockError:
        if self.parked:
            return Unloaded(UNLOADED.format(self.spec.name), retry_after_s=None)
        if self.failure is not None:
            return Unavailable(self.failure.message, retry_after_s=30)
        return Draining("finishing accepted work") if self.draining else Loading("the model is not started yet")

    # --- life

    def start(self, threads: int = 1, url: str = "") -> None:
        """Ready for requests, inside a running event loop; the provider is not asked before somebody asks it something.
        Nothing here needs a share of the cores."""
        self.parked = False
        try:
            key = secrets.found(self.model.key) if self.model.key else secrets.usual(self.dialect.variables)
            headers = secrets.resolved(self.model.headers)
        except ConfigError as error:
            self.load_failed(0, error.code, error.message, "")
            return
        self.client = Client(self.provider, self.model, self.dialect, self._clock, key, headers)
        self.client.open()
        self.signature = self._signature()
        self.loaded.set()
        log.info("remote_ready", model=self.spec.name, provider=self.model.provider)

    def load_failed(self, replica_id: int, code: str, message: str, detail: str) -> None:
        """It cannot be served."""
        log.error("load_failed", model=self.spec.name, reason=message, detail=detail)
        self.failure = by_code(code)(message)
        self.loaded.set()

    async def drain(self, patience_s: float, reason: str = STOPPING) -> None:
        """Takes no more work and finishes what was accepted, up to `patience_s`; what is left then ends with
        `reason`."""
        self.draining = True
        until = self._clock() + patience_s
        while (tasks := self._tasks()) and (left := until - self._clock()) > 0:
            await asyncio.wait(tasks, timeout=left)
        if not self.idle:
            log.warning("drain_timeout", model=self.spec.name, seconds=patience_s)
        await self.close(reason)

    def _tasks(self) -> list[asyncio.Task[None]]:
        return [job.task for job in self._running if job.task is not None]

    async def close(self, reason: str = STOPPING) -> None:
        """Ends everything now; what waits or is under way gets `reason`."""
        self.draining = True
        tasks = self._tasks()
        for job in [*self._line.jobs(), *self._running]:
            job.owner.abandon(Unavailable(reason))
        if tasks:
            await asyncio.wait(tasks)
        client, self.client = self.client, None
        if client is not None:
            await client.close()


def shown(model: RemoteModel) -> str:
    """The provider as messages name it."""
    return "the provider" if model.provider == "compatible" else model.provider
