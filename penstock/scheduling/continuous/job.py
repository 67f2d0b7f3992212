"""A job: one request for generated text, on its way through the queue and an engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec

from penstock.core.deadline import NEVER, Deadline
from penstock.core.generation import Event, Generation
from penstock.core.reply import Meta, Outcome
from penstock.scheduling.work import Phase

OnEvent: TypeAlias = "Callable[[Job, Event], None]"
OnEnd: TypeAlias = "Callable[[Job, Outcome], None]"


class Job:
    """`size`: tokens that it may take, prompt and answer together; `prompt`: of these, the prompt's, by estimate.
    `tenant`: who shares fairly (by `weight`), and was charged `charged` tokens for it, and `expected` more until its
    prompt is read.
    `wire`: the generation as it crosses to the worker.

    `busy_s`: its share of the seconds that its engine computed.

    `began`: an event of it went out, so it cannot run again unnoticed. `suspect`: a worker died before its first event,
    so it runs next as the only one of its kind; `deaths`: how many died so. Moments are on the scheduler's clock:
    `arrived`, `started` (sent to the worker), `first` (its first token), `finished` (the last word of it so far).
    `on_end` is called exactly once, and no event after it.
    """

    __slots__ = (
        "arrived",
        "began",
        "busy_s",
        "charged",
        "deadline",
        "deaths",
        "expected",
        "finished",
        "first",
        "generation",
        "id",
        "level",
        "on_end",
        "on_event",
        "owner",
        "phase",
        "prompt",
        "replica",
        "size",
        "started",
        "suspect",
        "tenant",
        "tokens",
        "weight",
        "wire",
    )

    def __init__(
        self,
        generation: Generation,
        on_event: OnEvent,
        on_end: OnEnd,
        *,
        size: int = 1,
        prompt: int | None = None,
        level: int = 1,
        tenant: str = "",
        weight: float = 1.0,
        deadline: Deadline = NEVER,
    ):
        self.generation = generation
        self.on_event = on_event
        self.on_end = on_end
        self.size = size
        self.prompt = size if prompt is None else prompt
        self.level = level
        self.tenant = tenant
        self.weight = weight
        self.deadline = deadline
        self.owner: Any = None
        self.id = 0
        self.phase = Phase.QUEUED
        self.replica = -1
        self.began = False
        self.suspect = False
        self.deaths = 0
        self.charged = self.expected = 0
        self.tokens = 0
        self.wire = msgspec.Raw(b"")
        self.arrived = self.started = self.first = self.finished = self.busy_s = 0.0

    @property
    def places(self) -> int:
        """Answers that it has generated at once; counting tokens takes none."""
        return 0 if self.generation.count_only else self.generation.choices

    def time(self, meta: Meta) -> None:
        """Says how long a whole answer took."""
        meta.compute_s = self.finished - self.started
        meta.total_s = self.finished - self.arrived
        meta.first_s = self.first - self.arrived if self.first else meta.total_s

    def tell(self, event: Event) -> None:
        """Hands an event on; nothing comes after the end."""
        if self.phase is not Phase.ENDED:
            self.began = True
            self.on_event(self, event)

    def end(self, outcome: Outcome) -> bool:
        """Ends the job; False when it had ended before."""
        if self.phase is Phase.ENDED:
            return False
        self.phase = Phase.ENDED
        self.on_end(self, outcome)
        return True
