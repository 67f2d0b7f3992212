"""Embeddings of providers: the same doors, tensors and errors as a local model's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from penstock.core.errors import BadInput, ProviderFailed, ProviderThrottled
from penstock.core.generation import Usage
from penstock.core.request import Request
from penstock.core.tensors import Tensor, Tensors
from penstock.core.text import EMBEDDING, TEXT, TOKENS
from penstock.fakes import plans
from penstock.fakes.cohere import FakeCohere
from penstock.fakes.openai import FakeOpenAI
from penstock.fakes.speech import vector
from penstock.scheduling.remote.embedding import split
from tests.scheduling.remotes import HI, asked, served


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.setenv("COHERE_API_KEY", "k")
    monkeypatch.setenv("CO_API_KEY", "k")


@pytest.fixture
def fake() -> Iterator[FakeOpenAI]:
    with FakeOpenAI() as found:
        yield found


def texts(*given: str) -> Tensors:
    return {TEXT: Tensor.of(np.array(given, dtype=object))}


async def embedded(fleet: Any, *given: str) -> Tensors:
    reply = await fleet(Request("1", "m", texts(*given)))
    outputs: Tensors = await reply.result()
    assert outputs[TOKENS].array.sum() == reply.meta.usage.prompt_tokens
    return outputs


def test_text_in_numbers_out(fake: FakeOpenAI) -> None:
    async def ask() -> None:
        async with served(fake, task="embedding") as fleet:
            model = fleet.find("m")
            assert model.signature is not None
            assert model.signature.task == "embedding"
            assert model.signature.outputs[0].shape == (-1, -1)
            outputs = await embedded(fleet, "one two three", "four")
            array = outputs[EMBEDDING].array
            assert (outputs[EMBEDDING].datatype, array.dtype, array.shape) == ("FP32", np.float32, (2, 8))
            assert np.allclose(array[0], vector("one two three", 8))
            assert outputs[TOKENS].array.tolist() == [3, 1]
            assert model.signature.outputs[0].shape == (-1, 8)
            assert (model.stats.requests, model.stats.rows, model.recorder.tokens) == (1, 2, 4)

    asyncio.run(ask())


def test_long_requests_are_split(fake: FakeOpenAI) -> None:
    given = [f"text number {number}" for number in range(200)]

    async def ask() -> None:
        async with served(fake, "compatible", task="embedding") as fleet:
            outputs = await embedded(fleet, *given)
            assert [len(call.json["input"]) for call in fake.calls] == [64, 64, 64, 8]
            for row, text in enumerate(given):
                assert np.allclose(outputs[EMBEDDING].array[row], vector(text, 8))
            fake.script(plans.GOOD, plans.throttled(2))
            with pytest.raises(ProviderThrottled):
                await embedded(fleet, *given)
            assert await embedded(fleet, "and on it goes")

    asyncio.run(ask())


def test_large_answers_are_read_beside_the_loop(fake: FakeOpenAI) -> None:
    fake.size = 4096

    async def ask() -> None:
        async with served(fake, "compatible", task="embedding") as fleet:
            outputs = await embedded(fleet, *("abc" for _ in range(20)))
            assert outputs[EMBEDDING].array.shape == (20, 4096)

    asyncio.run(ask())


def test_sizes_that_were_promised(fake: FakeOpenAI) -> None:
    async def ask() -> None:
        async with served(fake, task="embedding", dimensions=4) as fleet:
            outputs = await embedded(fleet, "one")
            assert outputs[EMBEDDING].array.shape == (1, 4)
            assert fake.calls[0].json["dimensions"] == 4
        async with served(fake, "compatible", task="embedding", dimensions=4) as fleet:
            with pytest.raises(ProviderFailed, match="of 8 numbers, not 4"):
                await embedded(fleet, "one")

    asyncio.run(ask())


def test_what_is_no_text(fake: FakeOpenAI) -> None:
    async def ask() -> None:
        async with served(fake, task="embedding") as fleet:
            with pytest.raises(BadInput, match="row 1: the text is empty"):
                await embedded(fleet, "one", "")
            bad = {TEXT: Tensor("BYTES", np.array([b"\xff"], object))}
            reply = await fleet(Request("1", "m", bad))
            with pytest.raises(BadInput, match="not valid UTF-8"):
                await reply.result()
            for payload in ({}, {**texts("a"), "other": Tensor.of([1])}, {TEXT: Tensor.of([1.0])}, HI):
                with pytest.raises(BadInput):
                    await asked(fleet, payload)  # type: ignore[arg-type]
            assert fake.calls == []

    asyncio.run(ask())


@pytest.mark.parametrize("size", [0, 8])
def test_no_rows_at_all(fake: FakeOpenAI, size: int) -> None:
    """Not even before the first answer has told how long embeddings are."""

    async def ask() -> None:
        async with served(fake, task="embedding", dimensions=size) as fleet:
            reply = await fleet(Request("1", "m", {TEXT: Tensor("BYTES", np.zeros(0, object))}))
            outputs = await reply.result()
            assert outputs[EMBEDDING].array.shape == (0, size)
            assert fake.calls == []

    asyncio.run(ask())


def test_who_leaves_ends_all_calls(fake: FakeOpenAI) -> None:
    async def ask() -> None:
        async with served(fake, "compatible", task="embedding") as fleet:
            fake.plan = plans.mute()
            reply = await fleet(Request("1", "m", texts(*("a" for _ in range(200)))))
            await asyncio.to_thread(fake.wait_for, lambda: len(fake.calls) == 4)
            reply.close()
            assert await asyncio.to_thread(fake.wait_for, lambda: fake.left == 4)

    asyncio.run(ask())


def test_what_was_sent_is_counted_also_where_nobody_waits_for_it(fake: FakeOpenAI) -> None:
    async def ask() -> None:
        async with served(fake, "compatible", task="embedding", max_concurrency=1) as fleet:
            fake.script(plans.GOOD)
            fake.plan = plans.mute()
            reply = await fleet(Request("1", "m", texts(*(f"text number {number}" for number in range(320)))))
            queued = await fleet(Request("2", "m", texts("never sent")))
            await asyncio.to_thread(fake.wait_for, lambda: len(fake.calls) == 5)
            queued.close()
            reply.close()
            assert queued.meta.usage == Usage()
            assert reply.meta.usage is not None
            # One call answered, four under way, by estimate: 64 texts of about 15 characters each.
            assert 64 * 3 + 4 * 200 < reply.meta.usage.prompt_tokens < 64 * 3 + 4 * 400

    asyncio.run(ask())


def test_calls_that_fail_are_not_counted(fake: FakeOpenAI) -> None:
    async def ask() -> None:
        async with served(fake, "compatible", task="embedding") as fleet:
            fake.script(plans.throttled(2))
            reply = await fleet(Request("1", "m", texts("one two three")))
            with pytest.raises(ProviderThrottled):
                await reply.result()
            assert reply.meta.usage == Usage()

    asyncio.run(ask())


def test_cohere(monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask(cloud: FakeCohere) -> None:
        async with served(cloud, "cohere", task="embedding", model="embed-v4.0") as fleet:
            outputs = await embedded(fleet, *(f"text {number}" for number in range(100)))
            assert outputs[EMBEDDING].array.shape == (100, 8)

    with FakeCohere() as cloud:
        asyncio.run(ask(cloud))


@pytest.mark.parametrize(
    ("given", "most", "expected"),
    [
        ([], 2, []),
        (["a", "b", "c"], 2, [["a", "b"], ["c"]]),
        (["a" * 600_000, "b"], 9, [["a" * 600_000], ["b"]]),
        (["a" * 300_000] * 3, 9, [["a" * 300_000], ["a" * 300_000], ["a" * 300_000]]),
    ],
)
def test_parts(given: list[str], most: int, expected: list[list[str]]) -> None:
    assert split(given, most) == expected
