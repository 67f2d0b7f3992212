"""A language model in service: acts on the flow's decisions with real workers and a real clock."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

from penstock.core.clock import Clock, system_clock
from penstock.core.errors import PenstockError, by_code
from penstock.core.generation import EngineStats, Event, Generated, Started
from penstock.core.model import ModelSpec
from penstock.core.reply import Reply
from penstock.core.request import Request
from penstock.core.signature import Signature
from penstock.scheduling.continuous.flow import Flow, News
from penstock.scheduling.continuous.intake import GenerationIntake, Limits
from penstock.scheduling.continuous.line import FairLine
from penstock.scheduling.continuous.shares import share
from penstock.scheduling.frames import pack
from penstock.scheduling.messages import Drop, Encoded, Failure, Stepped
from penstock.scheduling.service import Create, Service
from penstock.scheduling.settings import DeploymentSettings
from penstock.scheduling.supervision import Supervisor
from penstock.telemetry.generation import GenerationRecorder
from penstock.telemetry.logs import logger

log = logger("scheduling")


class LanguageDeployment(Service):
    """A language model with its line and its engines' workers."""

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
        own = settings.generation
        supervisor = Supervisor(settings.replicas, settings.supervision, own.stall_ms / 1000, rng or random.Random())
        line = FairLine(own.queue_size, own.queue_tokens)
        self.flow = self.decider = Flow(line, supervisor, replay=settings.pure)
        self.generation = GenerationRecorder(self.recorder)
        self.engines = [EngineStats() for _ in range(settings.replicas)]
        self._past = EngineStats()
        self._intake: GenerationIntake | None = None

    async def __call__(self, request: Request) -> Reply:
        """Queues a request. Raises `BadInput` for one that is none for this model, `Unavailable` when the model cannot
        take it now."""
        if self._intake is None:
            raise self._not_loaded()
        reply = self._intake.accept(request, self._clock())
        self._poke()
        return reply

    def config(self) -> dict[str, Any]:
        """The settings in force, as plain data; those for batches say nothing here."""
        plain = super().config()
        del plain["batching"]
        return plain

    def gauges(self) -> dict[str, float]:
        """What the metrics page shows of the present."""
        supervisor = self.flow.supervisor
        return {
            "queue_depth": self.flow.waiting,
            "in_flight": self.flow.running,
            "workers": supervisor.up,
            "worker_restarts": supervisor.restarts,
        }

    @property
    def load(self) -> float:
        """Requests that run and wait, per sequence that the engines run at once."""
        return (self.flow.running + self.flow.waiting) / max(1, self.flow.slots * self.settings.replicas)

    @property
    def engine_stats(self) -> EngineStats:
        """All workers' engines together; the cache's use is that of the fullest."""
        engines = self.engines
        return EngineStats(
            running=sum(stats.running for stats in engines),
            waiting=self.flow.waiting + sum(stats.waiting for stats in engines),
            kv_usage=max(stats.kv_usage for stats in engines),
            prefix_queries=self._past.prefix_queries + sum(stats.prefix_queries for stats in engines),
            prefix_hits=self._past.prefix_hits + sum(stats.prefix_hits for stats in engines),
            preemptions=self._past.preemptions + sum(stats.preemptions for stats in engines),
        )

    # --- acting on decisions

    def _decide(self) -> float:
        decisions = self.flow.decide(self._clock())
        self._workers(decisions.spawn, decisions.kill)
        for replica_id, job in decisions.start:
            self._links[replica_id].send(pack(Encoded(job.id, job.wire)), 0)
            job.owner.alive()
        for replica_id, ids in decisions.drop.items():
            self._links[replica_id].send(pack(Drop(tuple(ids))), 0)
        return decisions.wake_at

    # --- what the links report

    def _open(self, signature: Signature) -> None:
        self.signature = signature
        self.flow.slots = max(1, signature.sequences)
        self.flow.room = signature.cache_tokens
        own = self.settings.generation
        limits = Limits(own.timeout_ms / 1000, max(own.timeout_ms, own.max_timeout_ms) / 1000)
        context = signature.max_tokens or 2**31
        self._intake = GenerationIntake(self.labels, context, self.flow, self.generation, limits)

    def replica_stepped(self, replica_id: int, message: Stepped) -> None:
        """An engine has made a step: its news go out, and what waits may start."""
        now = self._clock()
        self.engines[replica_id] = message.stats
        self._time(replica_id, message, now)
        share(message.compute_s, self.flow.workers[replica_id].jobs.values())
        for id, what in message.news:
            self.flow.news(replica_id, id, news_of(what), now)
        self.generation.step(message.compute_s)
        self.flow.alive(replica_id, message.heard, now)
        self._poke()

    def _time(self, replica_id: int, message: Stepped, now: float) -> None:
        """Token times, as clients see them: to the first, and from one step's tokens to the next one's."""
        tokens: Counter[int] = Counter()
        for id, what in message.news:
            if not isinstance(what, Generated | Failure | Started):
                tokens[id] += what.tokens
        for id, count in tokens.items():
            job = self.flow.workers[replica_id].jobs.get(id)
            if job is None or not count or job.generation.count_only:
                continue
            self.generation.generated(count, now - job.finished if job.first else None)
            job.first = job.first or now
            job.finished = now

    def replica_exited(self, replica_id: int, how: str) -> None:
        """A worker process has ended; what it had counted stays."""
        past, last = self._past, self.engines[replica_id]
        self._past = EngineStats(
            prefix_queries=past.prefix_queries + last.prefix_queries,
            prefix_hits=past.prefix_hits + last.prefix_hits,
            preemptions=past.preemptions + last.preemptions,
        )
        self.engines[replica_id] = EngineStats()
        super().replica_exited(replica_id, how)


def news_of(what: Event | Generated | Failure) -> News:
    """A worker's words in the server's tree of errors."""
    if not isinstance(what, Failure):
        return what
    error: PenstockError = by_code(what.code)(what.message)
    error.detail = what.detail or None
    if what.param is not None:
        error.param = what.param  # type: ignore[attr-defined]
    return error
