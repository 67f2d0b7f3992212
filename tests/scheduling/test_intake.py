"""From a request to queued work: what is refused leaves no trace, and no batch mates."""

from __future__ import annotations

import random

import numpy as np
import pytest

from penstock.core.errors import BadInput, Draining, ModelFailed, Overloaded, PenstockError, TooLarge
from penstock.core.generation import Generation
from penstock.core.reply import Reply
from penstock.core.request import Request
from penstock.core.signature import Signature, TensorSpec
from penstock.core.tensors import Tensor, Tensors
from penstock.scheduling.batching.dynamic import DynamicBatcher
from penstock.scheduling.dispatcher import Batch, Dispatcher
from penstock.scheduling.intake import Intake, Limits
from penstock.scheduling.queue import WorkQueue
from penstock.scheduling.supervision import SupervisionSettings, Supervisor
from penstock.telemetry.recorder import Recorder

SIGNATURE = Signature((TensorSpec("x", "INT64", (-1,)),), (TensorSpec("y", "INT64", (-1,)),))


class Shop:
    """An intake, its dispatcher and one worker that is up; `serve` echoes what it runs."""

    def __init__(self, capacity: int = 4, max_rows: int = 2):
        supervisor = Supervisor(1, SupervisionSettings(), 5.0, random.Random(0))
        self.dispatcher = Dispatcher(WorkQueue(capacity), DynamicBatcher(max_rows), supervisor)
        self.dispatcher.decide(0.0)
        self.dispatcher.ready(0, 0.0)
        self.recorder = Recorder()
        limits = Limits(timeout_s=10.0, max_timeout_s=60.0, max_rows=max_rows)
        self.intake = Intake(SIGNATURE, ("m", "1"), self.dispatcher, self.recorder, limits)

    def ask(self, *values: int, outputs: tuple[str, ...] | None = None) -> Reply:
        tensors = {"x": Tensor("INT64", np.array(values, np.int64))}
        return self.intake.accept(Request("1", "m", tensors, outputs=outputs), 1.0)

    def serve(self, error: PenstockError | None = None) -> None:
        while self.dispatcher.decide(1.0).start:
            batch = self.dispatcher.supervisor.replicas[0].batch
            assert isinstance(batch, Batch)
            rows = np.concatenate([work.tensors["x"].array for work in batch.works])
            if error is not None:
                self.dispatcher.failed(0, error, 1.0)
            else:
                self.dispatcher.completed(0, lambda a, b: {"y": Tensor("INT64", rows[a:b])}, 0.1, 1.0)  # noqa: B023


def answered(reply: Reply) -> list[int]:
    tensors: Tensors = reply.tensors()
    values: list[int] = tensors["y"].array.tolist()
    return values


def test_large_requests_are_split_and_joined() -> None:
    shop = Shop()
    large, small = shop.ask(1, 2, 3, 4, 5), shop.ask(9)
    shop.serve()
    assert (answered(large), answered(small)) == ([1, 2, 3, 4, 5], [9])
    assert shop.recorder.stats().requests == 2


def test_a_piece_that_fails_takes_the_others_off_the_queue() -> None:
    shop = Shop()
    reply = shop.ask(1, 2, 3, 4, 5, 6)
    shop.dispatcher.decide(1.0)
    shop.dispatcher.failed(0, ModelFailed("no"), 1.0)
    with pytest.raises(ModelFailed):
        reply.tensors()
    assert len(shop.dispatcher.queue) == 0
    assert shop.dispatcher.idle


def test_more_rows_than_the_queue_could_ever_hold() -> None:
    shop = Shop(capacity=2, max_rows=2)
    with pytest.raises(TooLarge, match="at most 4 rows"):
        shop.ask(1, 2, 3, 4, 5)
    shop.ask(7)
    with pytest.raises(Overloaded):
        shop.ask(1, 2, 3, 4)
    assert len(shop.dispatcher.queue) == 1


def test_a_piece_that_is_refused_leaves_no_orphans() -> None:
    shop = Shop()
    shop.dispatcher.quarantine.add({"x": Tensor("INT64", np.array([3, 4], np.int64))})
    with pytest.raises(PenstockError) as refusal:
        shop.ask(1, 2, 3, 4)
    assert refusal.value.code == "request_refused"
    assert len(shop.dispatcher.queue) == 0
    assert dict(shop.recorder.errors) == {"request_refused": 1}


def test_refusals_name_what_is_wrong() -> None:
    shop = Shop()
    with pytest.raises(BadInput, match="unknown output 'z'; the model gives: y"):
        shop.ask(1, outputs=("z",))
    with pytest.raises(BadInput, match="takes tensors"):
        shop.intake.accept(Request("1", "m", Generation(prompt="hello")), 1.0)
    shop.dispatcher.draining = True
    with pytest.raises(Draining):
        shop.ask(1)
    assert len(shop.dispatcher.queue) == 0


def test_a_model_that_fails_on_no_rows_says_bad_input() -> None:
    shop = Shop()
    reply = shop.ask()
    shop.serve(ModelFailed("empty"))
    with pytest.raises(BadInput, match="zero rows"):
        reply.tensors()


def test_one_broken_listener_does_not_harm_the_batch() -> None:
    shop = Shop(max_rows=8)
    first, second = shop.ask(1), shop.ask(2)

    def broken(reply: Reply) -> None:
        raise RuntimeError("a listener")

    first.add_done_callback(broken)
    shop.serve()
    assert answered(second) == [2]


def test_replies_that_end_while_held_settle_when_released() -> None:
    shop = Shop()
    first, second = shop.ask(1), shop.ask(2, 3)
    shop.intake.holding = True
    shop.serve()
    shop.intake.holding = False
    assert (first.done, second.done) == (False, False)
    shop.intake.release()
    assert (answered(first), answered(second)) == ([1], [2, 3])
    shop.intake.release()
