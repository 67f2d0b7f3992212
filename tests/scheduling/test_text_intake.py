"""Requests of text are split by tokens, and what workers count teaches the estimate."""

from __future__ import annotations

import random

import numpy as np
import pytest

from penstock.core.reply import Reply
from penstock.core.request import Request
from penstock.core.signature import Signature, TensorSpec
from penstock.core.tensors import Tensor, Tensors, bytes_array
from penstock.scheduling.batching.tokens import TokenBatcher
from penstock.scheduling.dispatcher import Batch, Dispatcher
from penstock.scheduling.intake import Limits
from penstock.scheduling.queue import WorkQueue
from penstock.scheduling.supervision import SupervisionSettings, Supervisor
from penstock.scheduling.text_intake import TextIntake
from penstock.telemetry.recorder import Recorder

SIGNATURE = Signature(
    (TensorSpec("text", "BYTES", (-1,)),), (TensorSpec("tokens", "INT32", (-1,)),), task="embedding", max_tokens=512
)
BUDGET = 128


class Shop:
    """An intake for texts, and one worker that finds one token in every byte."""

    def __init__(self) -> None:
        supervisor = Supervisor(1, SupervisionSettings(), 5.0, random.Random(0))
        self.dispatcher = Dispatcher(WorkQueue(1000), TokenBatcher(BUDGET, BUDGET), supervisor)
        self.dispatcher.decide(0.0)
        self.dispatcher.ready(0, 0.0)
        self.recorder = Recorder()
        limits = Limits(timeout_s=10.0, max_timeout_s=60.0, max_tokens=BUDGET)
        self.intake = TextIntake(SIGNATURE, ("m", "1"), self.dispatcher, self.recorder, limits)

    def ask(self, *texts: str) -> Reply:
        return self.intake.accept(Request("1", "m", {"text": Tensor("BYTES", bytes_array(list(texts)))}), 1.0)

    def serve(self) -> int:
        """Runs all there is; returns the number of batches."""
        batches = 0
        while self.dispatcher.decide(1.0).start:
            batches += 1
            batch = self.dispatcher.supervisor.replicas[0].batch
            assert isinstance(batch, Batch)
            texts = [text for work in batch.works for text in work.tensors["text"].array.tolist()]
            tokens = np.array([len(text) + 2 for text in texts], np.int32)
            self.dispatcher.completed(0, lambda a, b: {"tokens": Tensor("INT32", tokens[a:b])}, 0.1, 1.0)  # noqa: B023
        return batches


def counted(reply: Reply) -> list[int]:
    tensors: Tensors = reply.tensors()
    found: list[int] = tensors["tokens"].array.tolist()
    return found


@pytest.mark.parametrize("rows", [1, 64], ids=["whole", "in pieces"])
def test_every_request_teaches_however_it_ran(rows: int) -> None:
    shop = Shop()
    for _ in range(64 // rows):
        reply = shop.ask(*["0123456789" * 2] * rows)
        shop.serve()
        assert counted(reply) == [22] * rows
    assert shop.intake.meter.ratio > 0.6
    assert shop.recorder.tokens == 64 * 22


def test_batches_keep_to_their_tokens_once_these_are_known() -> None:
    shop = Shop()
    shop.ask(*["0123456789" * 2] * 300)
    first = shop.serve()
    shop.ask(*["0123456789" * 2] * 300)
    assert first == 19
    assert shop.serve() >= 300 * 20 // BUDGET
