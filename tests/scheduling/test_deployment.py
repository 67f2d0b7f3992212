"""A deployment with a worker in a thread: what text models change, and in which order things happen."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from penstock.core.model import ModelSpec
from penstock.core.reply import Reply
from penstock.core.request import Request
from penstock.core.signature import Signature, TensorSpec
from penstock.core.tensors import Array, Tensor, bytes_array
from penstock.scheduling.batching.policy import BatchingSettings
from penstock.scheduling.deployment import Deployment
from penstock.scheduling.settings import DeploymentSettings


class Counter:
    """Counts letters; a token is ten. Its first batch waits until it is let go."""

    borrows = False

    def __init__(self) -> None:
        self.go = threading.Event()
        self.batches: list[int] = []

    def load(self, spec: ModelSpec) -> Signature:
        return Signature(
            (TensorSpec("text", "BYTES", (-1,)),),
            (TensorSpec("tokens", "INT32", (-1,)),),
            task="embedding",
            max_tokens=50,
        )

    def run(self, inputs: dict[str, Array]) -> dict[str, Array]:
        self.go.wait(30)
        self.batches.append(len(inputs["text"]))
        return {"tokens": np.array([len(text) // 10 for text in inputs["text"]], np.int32)}


@contextmanager
def let_go(counter: Counter) -> Iterator[None]:
    try:
        yield
    finally:
        counter.go.set()


def asked(text: str) -> Request:
    return Request("1", "m", {"text": Tensor("BYTES", bytes_array([text]))})


async def opened(counter: Counter, **batching: int) -> Deployment:
    settings = DeploymentSettings(batching=BatchingSettings(**batching))  # type: ignore[arg-type]
    deployment = Deployment(ModelSpec(name="m", runtime="counter", path=""), settings, create=lambda name: counter)
    deployment.start()
    await deployment.loaded.wait()
    return deployment


def test_batches_of_text_are_filled_by_tokens() -> None:
    counter = Counter()

    async def main() -> None:
        deployment = await opened(counter, max_tokens=80)
        with let_go(counter):
            first = await deployment(asked("x" * 60))
            await asyncio.sleep(0.05)
            # By the first guess, 0.3 tokens a byte and two beside: 20 tokens each, four a batch.
            rest = [await deployment(asked("y" * 60)) for _ in range(8)]
        await asyncio.gather(*(reply.result() for reply in (first, *rest)))
        assert deployment.recorder.tokens == 9 * 6
        await deployment.drain(5)

    asyncio.run(main())
    assert counter.batches == [1, 4, 4]


def test_the_next_batch_is_sent_before_the_last_one_is_answered() -> None:
    counter = Counter()

    async def main() -> None:
        deployment = await opened(counter, max_size=1)
        running: list[int] = []

        def note(reply: Reply) -> None:
            running.append(deployment.dispatcher.running)

        with let_go(counter):
            replies = [await deployment(asked("x")) for _ in range(3)]
            for reply in replies:
                reply.add_end_callback(note)
        await asyncio.gather(*(reply.result() for reply in replies))
        assert running == [1, 1, 0]
        await deployment.drain(5)

    asyncio.run(main())
