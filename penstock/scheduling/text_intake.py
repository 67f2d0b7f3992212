"""Requests of text: their size is counted in tokens, and they wait among others of their length."""

from __future__ import annotations

from functools import partial

from penstock.core.errors import PenstockError
from penstock.core.generation import Generated
from penstock.core.reply import Outcome, Reply
from penstock.core.request import Request
from penstock.core.signature import Signature
from penstock.core.tensors import Tensors
from penstock.core.text import TOKENS
from penstock.scheduling.dispatcher import Dispatcher
from penstock.scheduling.intake import Intake, Limits
from penstock.scheduling.tokens import LaneKey, TokenMeter, band, slices
from penstock.scheduling.work import OnEnd, Work
from penstock.telemetry.recorder import Recorder


class TextIntake(Intake):
    """An intake that estimates tokens, splits by them, and learns from what the worker counted."""

    def __init__(
        self,
        signature: Signature,
        labels: tuple[str, str],
        dispatcher: Dispatcher,
        recorder: Recorder,
        limits: Limits,
    ):
        super().__init__(signature, labels, dispatcher, recorder, limits)
        assert signature.max_tokens is not None
        assert limits.max_tokens is not None
        self._budget = limits.max_tokens
        self.meter = TokenMeter(signature.max_tokens)

    def _queue(self, request: Request, tensors: Tensors, rows: int, now: float) -> Reply:
        """Queues a request whole, or in pieces of at most so many tokens."""
        if rows > 1:
            pieces = slices(self.meter.rows(tensors), self._budget, self._limits.max_rows or rows)
            if len(pieces) > 1:
                most = f"{self._dispatcher.queue.capacity * self._budget} tokens"
                self._check_pieces(len(pieces), most)
                return self._queue_pieces(request, tensors, pieces, now)
        return super()._queue(request, tensors, rows, now)

    def _work(self, request: Request, tensors: Tensors, rows: int, now: float, on_end: OnEnd) -> Work:
        work = super()._work(request, tensors, rows, now, partial(self._counted, on_end))
        work.size = sum(self.meter.rows(tensors))
        work.key = LaneKey(work.key, band(work.size // max(1, rows)))
        return work

    def _counted(self, on_end: OnEnd, work: Work, outcome: Outcome) -> None:
        """Learns from a piece of work, then hands its end on."""
        if not isinstance(outcome, PenstockError | Generated) and TOKENS in outcome:
            counts = outcome[TOKENS].array
            self._recorder.tokens += int(counts.sum())
            self.meter.learn(work.tensors, counts)
        on_end(work, outcome)
