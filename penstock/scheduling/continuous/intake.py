"""From a request for generated text to a job, and from what its engine says to its reply."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import msgspec

from penstock.core.deadline import NEVER
from penstock.core.errors import BadInput, Cancelled, PenstockError, TooLarge
from penstock.core.generation import Event, Generated, Generation, Started, Stopped, Usage
from penstock.core.reply import Meta, Outcome, Reply
from penstock.core.request import Request
from penstock.scheduling.continuous.flow import Flow
from penstock.scheduling.continuous.job import Job
from penstock.scheduling.continuous.sizes import PromptMeter
from penstock.scheduling.frames import MAX_HEADER
from penstock.telemetry.generation import GenerationRecorder

USUAL_ANSWER = 512
"""Tokens that an answer is expected to take when its request does not say."""
LONGEST = MAX_HEADER - 4096
"""Bytes of a request that fit a frame."""


@dataclass(frozen=True, slots=True)
class Limits:
    """`timeout_s`: for requests without a deadline; `max_timeout_s`: the longest one that may be asked for."""

    timeout_s: float
    max_timeout_s: float


def encoded(generation: Generation) -> msgspec.Raw:
    """The request as it crosses to a worker.

    Raises `BadInput` for integers of over 64 bits, `TooLarge` for what fits no frame.
    """
    try:
        wire = msgspec.msgpack.encode(generation)
    except (OverflowError, ValueError, TypeError, RecursionError) as error:
        raise BadInput("the request holds a number, or a nesting, that is too large", detail=str(error)) from None
    if len(wire) > LONGEST:
        raise TooLarge(f"the request takes {len(wire)} bytes as a message to the model; at most {LONGEST} can be sent")
    return msgspec.Raw(wire)


class GenerationIntake:
    """Queues requests, settles their replies, and tells the recorder."""

    def __init__(self, labels: tuple[str, str], context: int, flow: Flow, recorder: GenerationRecorder, limits: Limits):
        self._labels = labels
        self._context = context
        self._flow = flow
        self._recorder = recorder
        self._limits = limits
        self.meter = PromptMeter()

    def accept(self, request: Request, now: float) -> Reply:
        """Queues a request. Raises `BadInput` when it is none for this model, `Unavailable` when it cannot wait."""
        try:
            job = self._job(request, now)
            reply = job.owner = Reply(Meta(*self._labels), partial(self._cancel, job))
            self._flow.submit(job, now)
            return reply
        except PenstockError as error:
            self._recorder.error(error.code)
            raise

    def _job(self, request: Request, now: float) -> Job:
        generation = request.payload
        if not isinstance(generation, Generation):
            raise BadInput("this model generates text; ask it at /v1/chat/completions or /v1/completions")
        deadline = request.deadline if request.deadline != NEVER else now + self._limits.timeout_s
        if deadline > now + self._limits.max_timeout_s:
            raise BadInput(f"timeout_ms may be at most {self._limits.max_timeout_s * 1000:.0f} for this model")
        self._check_choices(generation)
        wire = encoded(generation)
        prompt, answer = self._size(generation, len(wire))
        job = Job(
            generation,
            self._told,
            self._ended,
            size=prompt + answer,
            prompt=prompt,
            level=request.priority,
            tenant=request.tenant or "",
            weight=request.weight,
            deadline=deadline,
        )
        job.wire = wire
        return job

    def _check_choices(self, generation: Generation) -> None:
        """One request never keeps all others from the engine for rounds of answers."""
        if generation.choices > self._flow.slots:
            error = BadInput(
                f"n may be at most {self._flow.slots} for this model: so many answers it generates at once"
            )
            error.param = "n"
            raise error

    def _size(self, generation: Generation, nbytes: int) -> tuple[int, int]:
        """Tokens of its prompt, by estimate, and those that it may answer."""
        exact = isinstance(generation.prompt, tuple)
        prompt = min(self._context, len(generation.prompt or ()) if exact else self.meter.estimate(nbytes))
        if generation.count_only:
            return prompt, 0
        wanted = generation.sampling.max_tokens or USUAL_ANSWER
        return prompt, generation.choices * max(1, min(wanted, self._context - prompt))

    def _cancel(self, job: Job) -> None:
        """Who closed the reply may have said why."""
        outcome = job.owner.outcome
        self._flow.cancel(
            job, outcome if isinstance(outcome, PenstockError) else Cancelled("the request was cancelled")
        )

    def _told(self, job: Job, event: Event) -> None:
        reply: Reply = job.owner
        if isinstance(event, Started):
            reply.meta.queue_s = job.started - job.arrived
            reply.meta.usage = Usage(event.prompt_tokens, event.cached_tokens)
            if not isinstance(job.generation.prompt, tuple):
                self.meter.learn(len(job.wire), event.prompt_tokens)
            if not job.generation.count_only:
                self._recorder.prompt(event.prompt_tokens, event.cached_tokens)
        elif isinstance(event, Stopped):
            self._recorder.stopped(event.reason)
        reply.emit(event)

    def _ended(self, job: Job, outcome: Outcome) -> None:
        """A request's only end: numbers, then the reply."""
        reply: Reply = job.owner
        meta = reply.meta
        if job.started:
            meta.queue_s = job.started - job.arrived
        meta.busy_s = job.busy_s
        if isinstance(outcome, Generated):
            meta.usage = outcome.usage
            job.time(meta)
            if not job.generation.count_only:
                self._recorder.finished(job.arrived, job.started, job.first, job.finished, outcome.usage)
        elif isinstance(outcome, PenstockError):
            meta.usage = self._so_far(job, meta.usage)
            self._recorder.error(outcome.code)
        reply.settle(outcome)

    def _so_far(self, job: Job, read: Usage | None) -> Usage | None:
        """The tokens of an answer that did not come to its end; None where the prompt was being read."""
        if read is None:
            return None if job.started else Usage()
        return msgspec.structs.replace(read, completion_tokens=max(0, job.tokens - read.prompt_tokens))
