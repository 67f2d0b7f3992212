"""One model version in service: its workers' lives, and a turn of decisions at the end of each turn of the event loop.

What kind of work is decided on, batches or jobs, is the subclasses' business.
"""

from __future__ import annotations

import asyncio
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import msgspec

from penstock.core.clock import Clock
from penstock.core.errors import Loading, ModelFileError, PenstockError, Unavailable, Unloaded, by_code
from penstock.core.model import ModelSpec, ModelStats, State
from penstock.core.reply import Reply
from penstock.core.request import Request
from penstock.core.signature import Signature
from penstock.runtimes.contract import Engine, Runtime
from penstock.scheduling.decider import Decider
from penstock.scheduling.messages import Load, Ran, RunFailed, Stepped
from penstock.scheduling.replica import ReplicaLink
from penstock.scheduling.settings import DeploymentSettings
from penstock.scheduling.status import reason_of, state_of
from penstock.telemetry.logs import logger
from penstock.telemetry.recorder import Recorder

log = logger("scheduling")
DRAIN_POLL_S = 0.02
LOAD_TRIES = 2
"""Workers that may die while they load a model for the first time before it is given up."""

STOPPING = "the server is stopping"
UNLOADED = "the model is unloaded; POST /v2/repository/models/{}/load loads it again"

Create = Callable[[str], Runtime | Engine]


class Service(ABC):
    """A model version with its workers. `create` makes the runtime of an inline one; processes use the registry."""

    decider: Decider

    def __init__(self, spec: ModelSpec, settings: DeploymentSettings, *, clock: Clock, create: Create | None):
        self.spec = spec
        self.settings = settings
        self.recorder = Recorder()
        self.labels = (spec.name, spec.version)
        self.signature: Signature | None = spec.signature
        self.failure: PenstockError | None = None
        self.loaded = asyncio.Event()
        self.parked = False
        self.create = create
        self.threads = settings.threads or spec.threads
        self.url = self.key = ""
        self._clock = clock
        self._links = [ReplicaLink(index, self) for index in range(settings.replicas)]
        self._opened = False
        self._poked = False
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._last_end = ""
        self._load_error = ""

    @abstractmethod
    async def __call__(self, request: Request) -> Reply:
        """Accepts a request, or raises why not."""

    @abstractmethod
    def _decide(self) -> float:
        """Acts on decisions; returns when to decide again."""

    @abstractmethod
    def _open(self, signature: Signature) -> None:
        """The model has loaded for the first time: requests can be taken."""

    @abstractmethod
    def gauges(self) -> dict[str, float]:
        """What the metrics page shows of the present."""

    @property
    @abstractmethod
    def load(self) -> float:
        """Requests that run and wait, per place for one that runs: 1 is full, with nobody waiting."""

    def _released(self) -> None:
        """After decisions were acted on."""

    # --- how it is seen

    @property
    def state(self) -> State:
        """The truth about the workers."""
        if self.parked:
            return State.UNLOADED
        return state_of(self.decider, self.failure)

    @property
    def reason(self) -> str:
        """Why it is not ready, for people."""
        if self.parked:
            return UNLOADED.format(self.spec.name)
        return reason_of(self.state, self.failure, self._last_end)

    @property
    def stats(self) -> ModelStats:
        """Totals since start."""
        return self.recorder.stats()

    @property
    def pids(self) -> list[int]:
        """The workers' process ids."""
        return [link.pid for link in self._links if link.pid is not None]

    def config(self) -> dict[str, Any]:
        """The settings in force, as plain data."""
        plain: dict[str, Any] = msgspec.to_builtins(self.settings)
        return plain

    def _not_loaded(self) -> PenstockError:
        if self.parked:
            return Unloaded(UNLOADED.format(self.spec.name), retry_after_s=None)
        if self.failure is not None:
            return Unavailable("the model could not be loaded; see the server's log", retry_after_s=30)
        return Loading("the model is loading; try again shortly")

    # --- life

    def start(self, threads: int = 1, url: str = "") -> None:
        """Begins to load, inside a running event loop.

        `threads`: a worker's share of the cores. `url`: where the server answers, for models that call others.
        """
        self.url = url
        self.parked = False
        self.threads = self.settings.threads or threads
        self._poke()

    async def drain(self, patience_s: float, reason: str = STOPPING) -> None:
        """Takes no more work, finishes what was accepted (up to `patience_s`), then stops the workers; what is left
        then ends with `reason`."""
        self.decider.draining = True
        until = self._clock() + patience_s
        while not self.decider.idle and self._clock() < until:
            self._poke()
            await asyncio.sleep(DRAIN_POLL_S)
        if not self.decider.idle:
            log.warning("drain_timeout", model=self.spec.name, seconds=patience_s)
        await self.close(reason)

    async def close(self, reason: str = STOPPING) -> None:
        """Ends everything now; what waits or runs gets `reason`."""
        self._closed = True
        self.decider.draining = True
        self.decider.fail_all(Unavailable(reason))
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
                self._arm(self._decide())
        finally:
            self._released()

    def _workers(self, spawn: list[int], kill: list[int]) -> None:
        """Starts and kills workers as decided."""
        for replica_id in kill:
            log.error("worker_hung", model=self.spec.name, replica=replica_id)
            self._links[replica_id].kill()
        for replica_id in spawn:
            if self.failure is None:
                self._links[replica_id].spawn()

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
        return Load(msgspec.structs.replace(self.spec, threads=self.threads))

    def replica_ready(self, replica_id: int, signature: Signature, seconds: float) -> None:
        """A worker has loaded."""
        if not self._opened:
            self._opened = True
            self._open(signature)
        self.decider.ready(replica_id, self._clock())
        log.info("worker_ready", model=self.spec.name, replica=replica_id, seconds=round(seconds, 3))
        self.loaded.set()
        self._poke()

    def load_failed(self, replica_id: int, code: str, message: str, detail: str) -> None:
        """A worker cannot load. The first time this is final; later it counts as a crash."""
        self._load_error = "it could not load the model again; the log says why"
        log.error("load_failed", model=self.spec.name, reason=message, detail=detail)
        if not self.decider.supervisor.was_ready:
            self.failure = by_code(code)(message)
            self.decider.fail_all(self._not_loaded())
            self.loaded.set()

    def replica_ran(self, replica_id: int, message: Ran, body: memoryview) -> None:
        """A batch came back."""
        raise ValueError("this model runs no batches")

    def replica_failed(self, replica_id: int, message: RunFailed) -> None:
        """The model raised on a batch."""
        raise ValueError("this model runs no batches")

    def replica_stepped(self, replica_id: int, message: Stepped) -> None:
        """An engine has made a step."""
        raise ValueError("this model makes no steps")

    def replica_exited(self, replica_id: int, how: str) -> None:
        """A worker process has ended."""
        if self._closed:
            return
        if not self.failure:
            self._last_end = self._load_error or how
            self._load_error = ""
            log.error("worker_exited", model=self.spec.name, replica=replica_id, how=how)
        self.decider.exited(replica_id, self._clock())
        supervisor = self.decider.supervisor
        if not (supervisor.was_ready or self.failure) and supervisor.replicas[replica_id].deaths >= LOAD_TRIES:
            message = f"the worker died while it loaded the model ({how}); the file may be damaged, or memory too small"
            self.load_failed(replica_id, ModelFileError.code, message, "")
        self._poke()
