"""A provider's language model in service."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.core.clock import Clock, system_clock
from penstock.core.errors import CALLERS_END, BadInput, NotOffered, PenstockError, ProviderFailed
from penstock.core.generation import EngineStats, Generated, Generation, Started, Usage
from penstock.core.language import GENERATION
from penstock.core.model import ModelSpec
from penstock.core.reply import Meta, Outcome, Reply
from penstock.core.request import Request
from penstock.core.signature import Signature
from penstock.runtimes.remote.contract import RemoteModel
from penstock.runtimes.remote.estimate import prompt_tokens
from penstock.scheduling.continuous.intake import USUAL_ANSWER
from penstock.scheduling.continuous.job import Job
from penstock.scheduling.remote.deployment import RemoteDeployment
from penstock.scheduling.remote.hearing import Hearing
from penstock.scheduling.remote.job import RemoteJob
from penstock.scheduling.service import Create
from penstock.scheduling.settings import DeploymentSettings
from penstock.telemetry.generation import GenerationRecorder

SLOW = 25.0
"""Tokens a second that a provider writes at least; hosted models write 30 to 300."""


class RemoteLanguage(RemoteDeployment):
    """Requests for generated text, each one call."""

    def __init__(
        self,
        spec: ModelSpec,
        settings: DeploymentSettings,
        *,
        clock: Clock = system_clock,
        create: Create | None = None,
    ):
        super().__init__(spec, settings, clock=clock, create=create)
        self.generation = GenerationRecorder(self.recorder)
        self._by_pieces = msgspec.structs.replace(self.model, stream=True)
        self._as_whole = msgspec.structs.replace(self.model, stream=False)

    @property
    def engine_stats(self) -> EngineStats:
        """Calls under way, and requests that wait for a place."""
        return EngineStats(running=len(self._running), waiting=len(self._line))

    def config(self) -> dict[str, Any]:
        """The settings in force, as plain data; those for batches say nothing here."""
        plain = super().config()
        del plain["batching"]
        return plain

    def _signature(self) -> Signature:
        context = self.model.context or None
        return Signature((), task=GENERATION, max_tokens=context, sequences=self.model.max_concurrency)

    async def __call__(self, request: Request) -> Reply:
        """Takes a request. Raises `BadInput` for one that is none for this model, `Unavailable` when it cannot wait."""
        payload = request.payload
        if isinstance(payload, Generation) and payload.count_only and not self.dialect.counts(self.model):
            return self._counted(payload)
        return await super().__call__(request)

    def _counted(self, generation: Generation) -> Reply:
        """A count by estimate, where the provider has no call for it."""
        if self.client is None or self.draining:
            raise self._not_ready()
        if generation.echo:
            raise NotOffered(f"{self.provider} does not tell what its tokens mean")
        reply, tokens = Reply(Meta(*self.labels)), prompt_tokens(generation)
        reply.emit(Started(tokens))
        reply.settle(Generated(Usage(tokens)))
        return reply

    def _job(self, request: Request, now: float) -> RemoteJob:
        generation = request.payload
        if not isinstance(generation, Generation):
            raise BadInput("this model generates text; ask it at /v1/chat/completions or /v1/completions")
        if generation.adapter:
            raise NotOffered(f"{self.provider} has no adapters; ask for the model itself")
        deadline = self._deadline(request, now, self.settings.generation.max_timeout_ms)
        prompt = prompt_tokens(generation)
        answer = generation.choices * (generation.sampling.max_tokens or USUAL_ANSWER)
        call = self.dialect.generate(generation, self._wanted(request))
        if generation.count_only:
            call = msgspec.structs.replace(call, instead="ask another model to count tokens")
        return RemoteJob(request, self._ended, size=prompt + answer, prompt=prompt, deadline=deadline, call=call)

    def _wanted(self, request: Request) -> RemoteModel:
        """How the provider is asked: as the settings say, else for an answer in one piece where the caller wants
        that."""
        whole = request.whole if self.model.stream is None else not self.model.stream
        return self._as_whole if whole else self._by_pieces

    def _writing_s(self, job: RemoteJob) -> float:
        """How long an answer in one piece may take to be written before any of it comes."""
        return self._longest(job) / SLOW if job.whole and not job.generation.count_only else 0.0

    def _longest(self, job: RemoteJob) -> int:
        """Tokens that an answer may have."""
        return job.generation.sampling.max_tokens or self.model.max_tokens

    async def _work(self, job: RemoteJob) -> Outcome:
        assert self.client is not None
        assert job.call is not None
        hearing = Hearing(job, self.dialect.reader(job.generation), self.generation, self._clock)
        call, job.call = job.call, None
        try:
            await self.client.ask(call, job.deadline, hearing.take, self._writing_s(job))
        except ProviderFailed as error:
            return hearing.end(error)
        return hearing.end()

    def _ended(self, job: Job, outcome: Outcome) -> None:
        assert isinstance(job, RemoteJob)
        reply: Reply = job.owner
        meta = reply.meta
        self._hide(outcome)
        if job.started:
            meta.queue_s = job.started - job.arrived
        if isinstance(outcome, Generated):
            meta.usage = outcome.usage
            job.time(meta)
            if not job.generation.count_only:
                first = None if job.whole else job.first
                self.generation.finished(job.arrived, job.started, first, job.finished, outcome.usage)
        elif isinstance(outcome, PenstockError):
            if not job.started:
                meta.usage = Usage()
            elif job.whole and isinstance(outcome, CALLERS_END):
                meta.usage = self._so_far(job)
            self.recorder.error(outcome.code)
        self._count(job, meta.usage)
        reply.settle(outcome)

    def _so_far(self, job: RemoteJob) -> Usage | None:
        """What a provider has probably written of an answer in one piece that nobody waits for any more: leaving early
        must not be a way around limits and costs."""
        if job.generation.count_only:
            return None
        return Usage(job.prompt, 0, min(self._longest(job), int((self._clock() - job.started) * SLOW)))

    def _count(self, job: Job, usage: Usage | None) -> None:
        """Tokens: for the metrics, and for the share of the line."""
        if usage is not None and not job.generation.count_only:
            job.tokens = usage.prompt_tokens + usage.completion_tokens
            self.generation.prompt(usage.prompt_tokens, usage.cached_tokens)
            self.generation.generated(usage.completion_tokens, None)
