"""What a provider says to one request, handed on as it comes."""

from __future__ import annotations

from penstock.core.clock import Clock
from penstock.core.errors import PenstockError, ProviderFailed
from penstock.core.generation import (
    CallArguments,
    Event,
    Generated,
    Reasoning,
    Started,
    Stopped,
    Text,
    Usage,
)
from penstock.core.reply import Outcome, Reply
from penstock.runtimes.remote.client import Heard
from penstock.runtimes.remote.contract import Message, Reader
from penstock.runtimes.remote.estimate import tokens_of
from penstock.scheduling.remote.job import RemoteJob
from penstock.telemetry.generation import GenerationRecorder

PING = "ping"
"""The name of a message that says nothing: a model that only thinks has not begun to answer."""


class Hearing:
    """Hands a reply's events on. The first waits for the second: a provider that only says that it has begun, and then
    breaks, can still be replaced by another unnoticed. `outcome`: None until the reply has ended."""

    __slots__ = ("_clock", "_held", "_job", "_new", "_reader", "_recorder", "_reply", "_told", "outcome")

    def __init__(self, job: RemoteJob, reader: Reader, recorder: GenerationRecorder, clock: Clock):
        self._job = job
        self._reply: Reply = job.owner
        self._reader = reader
        self._recorder = recorder
        self._clock = clock
        self._held: Started | None = None
        self._new: list[Event] = []
        self._told = 0
        self.outcome: Outcome | None = None

    def take(self, messages: list[Message]) -> Heard:
        """Messages have come."""
        spoke, new = False, self._new
        for message in messages:
            for news in self._reader.feed(message.data, message.event):
                if isinstance(news, Generated | PenstockError):
                    self._over(news)
                    return Heard.ALL
                spoke = self._tell(news) or spoke
        if new:
            self._hand_on()
        elif not self._job.first and any(message.event != PING for message in messages):
            self._reply.alive()
        if spoke:
            self._time()
        return Heard.SOME if self._job.first else Heard.NOTHING

    def _hand_on(self) -> None:
        """All that came together goes on together."""
        new = self._new[:]
        self._new.clear()
        self._reply.emit_all(new)

    def end(self, broke: PenstockError | None = None) -> Outcome:
        """The body has ended, or the connection broke (`broke`): how the reply did. An answer of which everything had
        come is whole all the same."""
        if self.outcome is None:
            for news in self._reader.end():
                if isinstance(news, Generated | PenstockError):
                    self._over(news if broke is None or isinstance(news, Generated) else broke)
                    break
                self._tell(news)
        if self._new:
            self._hand_on()
        return self.outcome or broke or ProviderFailed("the provider's answer has no end")

    def _tell(self, event: Event) -> bool:
        """Whether the event is a part of the answer."""
        if isinstance(event, Started):
            self._held = event
            return False
        self._begin()
        if isinstance(event, Stopped):
            self._recorder.stopped(event.reason)
            self._new.append(event)
            return False
        if isinstance(event, Text | Reasoning | CallArguments):
            self._told += len(event.text)
        self._new.append(event)
        return True

    def _begin(self) -> None:
        """The prompt was read, and an answer comes."""
        held, self._held = self._held, None
        if held is not None:
            meta, job = self._reply.meta, self._job
            meta.queue_s = job.started - job.arrived
            meta.usage = Usage(held.prompt_tokens, held.cached_tokens)
            self._new.append(held)

    def _time(self) -> None:
        """Token times, as clients see them, and what the answer took so far: one that is given up costs that."""
        now, job, meta = self._clock(), self._job, self._reply.meta
        if (known := meta.usage) is not None:
            meta.usage = Usage(known.prompt_tokens, known.cached_tokens, tokens_of(self._told))
        self._recorder.generated(0, now - job.finished if job.first else None)
        if not job.whole:
            job.first = job.first or now
        job.finished = now

    def _over(self, outcome: Generated | PenstockError) -> None:
        if isinstance(outcome, Generated):
            self._begin()
        self._reply.hold(self._new)
        self._new = []
        if self._told or isinstance(outcome, Generated):
            self._time()
        self.outcome = outcome
        self._job.end(outcome)
