"""Answers to questions that mean the same: only where all else is equal, and a served model embeds them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest

from penstock.core.clock import StillClock
from penstock.core.errors import Overloaded, WorkerLost
from penstock.core.generation import Generation, Message, Tool
from penstock.core.reply import Reply
from penstock.core.request import Request
from penstock.core.signature import Signature, TensorSpec
from penstock.fakes import plans
from penstock.fakes.openai import FakeOpenAI
from penstock.routing.responses.embedding import Embedder
from penstock.routing.responses.responses import Responses
from penstock.routing.responses.similar import LONGEST, Question, Similar, Vector, asked, telling, without
from penstock.routing.settings import ResponseCacheSettings, RouteSettings
from penstock.scheduling.fleet import Fleet
from penstock.scheduling.settings import DeploymentSettings
from tests.routing.responses.world import AtOnce, Computing, Route, Served, asks, question, rows, said
from tests.runtimes.text import tiny
from tests.scheduling.remotes import served


class Words:
    """Embeds by counting words: questions of the same words mean the same."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    async def __call__(self, request: Request, text: str) -> Vector | None:
        self.texts.append(text)
        vector = np.zeros(64, np.float32)
        for word in text.lower().split():
            vector[sum(word.encode()) % 64] += 1
        return vector if vector.any() else None


def alike(least: float = 0.9, **more: Any) -> Route:
    return Route(similar=Similar(Words(), least), **more)


def run(coroutine: Any) -> Any:
    return asyncio.run(coroutine)


def test_a_question_that_means_the_same_has_the_same_answer() -> None:
    async def scenario() -> None:
        route = alike()
        await route.ask(asks(question("the red shoes")))
        route.advance(3)
        reply = await route.ask(asks(question("shoes the red")))
        assert (said(reply), reply.meta.cache, reply.meta.age_s) == ("Here 1", "hit", pytest.approx(3))
        assert reply.meta.why == "the answer to a similar question, cosine 1.000"
        assert (await route.ask(asks(question("blue gloves")))).meta.cache == "miss"
        counts = route.cache.counts
        assert (counts.hits, counts.similar, counts.misses) == (1, 1, 2)

    run(scenario())


def test_it_is_off_unless_asked_for() -> None:
    async def scenario() -> None:
        route = Route()
        await route.ask(asks(question("the red shoes")))
        assert (await route.ask(asks(question("shoes the red")))).meta.cache == "miss"

    run(scenario())


@pytest.mark.parametrize(
    "other",
    [
        asks(question("shoes the red"), tenant="theirs"),
        asks(question("shoes the red"), pin="large"),
        asks(question("shoes the red"), no_cache=True),
        asks(question("shoes the red", max_tokens=5)),
        asks(question("shoes the red", temperature=0.5)),
        asks(msgspec.structs.replace(question("shoes the red"), tools=(Tool("f"),))),
        asks(Generation(prompt="shoes the red", sampling=question().sampling)),
        asks(
            Generation(
                messages=(Message("system", "Be brief."), Message("user", "shoes the red")),
                sampling=question().sampling,
            )
        ),
    ],
)
def test_all_else_must_be_equal(other: Request) -> None:
    async def scenario() -> None:
        route = alike()
        await route.ask(asks(question("the red shoes")))
        assert (await route.ask(other)).meta.cache != "hit"

    run(scenario())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("flights to Rome in 2024", "flights to Rome in 2025"),
        ("is 3.5 more than 2", "is 2 more than 3.5"),
        ("shoes that are red", "shoes that are not red"),
        ("who can swim", "who can't swim"),
        ("with or without sugar", "with or with sugar"),
    ],
)
def test_numbers_and_negations_must_be_the_same(one: str, other: str) -> None:
    async def scenario() -> None:
        route = alike(least=0.01)
        await route.ask(asks(question(one)))
        assert (await route.ask(asks(question(other)))).meta.cache == "miss"
        assert (await route.ask(asks(question("the " + other)))).meta.cache == "hit"

    run(scenario())
    assert telling("Not 3.5, or 1,000; never won't") == ("not", "3.5", "1,000", "never", "n't")


def test_an_answer_that_is_too_old_or_gone_is_none() -> None:
    async def scenario() -> None:
        route = alike(cache={"ttl_s": 60})
        await route.ask(asks(question("the red shoes")))
        route.advance(30)
        assert (await route.ask(asks(question("shoes the red"), max_age_s=20.0))).meta.cache == "miss"
        route.advance(61)
        assert (await route.ask(asks(question("red the shoes")))).meta.cache == "miss"
        route.cache.memory.clear()
        assert (await route.ask(asks(question("red shoes the")))).meta.cache == "miss"

    run(scenario())


def test_the_next_best_is_found_where_the_best_is_gone() -> None:
    async def scenario() -> None:
        route = alike(least=0.7)
        await route.ask(asks(question("the red shoes here")))
        await route.ask(asks(question("the red shoes"), no_cache=True))
        key = route.cache.key(asks(question("the red shoes")))
        await route.ask(asks(question("red the shoes")))
        assert key is not None
        route.cache.memory.forget(key)
        assert (await route.ask(asks(question("shoes red the")))).meta.cache == "hit"

    run(scenario())


def test_what_cannot_be_embedded_is_answered() -> None:
    async def scenario() -> None:
        route = alike()
        for payload in (question(" "), question("x" * (LONGEST + 1)), Generation(prompt=(1, 2)), rows(1)):
            assert (await route.ask(asks(payload))).meta.cache in ("miss", "")

    run(scenario())


def test_the_question_of_a_request() -> None:
    tool = Generation(messages=(Message("user", "a"), Message("tool", "b", call_id="1")))
    assert [asked(g) for g in (question("a"), Generation(prompt="p"), Generation(prompt=(1,)), tool)] == [
        "a",
        "p",
        "",
        "",
    ]
    assert without(question("a")) == question("")
    assert without(Generation(prompt="p", echo=True)) == Generation(prompt="", echo=True)


def test_questions_are_bounded_and_found_after_others_left() -> None:
    async def scenario() -> None:
        rng = np.random.default_rng(0)
        similar = Similar(Words(), 0.99, capacity=20)
        vectors = rng.normal(size=(100, 16)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        for place, vector in enumerate(vectors):
            similar.add(bytes([place]), Question(b"context", vector, ()))
            if place % 7 == 0:
                similar.forget(bytes([max(0, place - 3)]))
        assert len(similar) <= 20
        found = [similar.nearest(Question(b"context", vector, ())) for vector in vectors]
        hits = {place for place, match in enumerate(found) if match is not None and match.key == bytes([place])}
        assert hits == {key[0] for key in similar._order}
        assert similar.nearest(Question(b"another", vectors[99], ())) is None
        assert similar.nearest(Question(b"context", vectors[99], ("3",))) is None
        assert similar.nearest(Question(b"context", vectors[99][:8], ())) is None

    run(scenario())


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> tiny.Tiny:
    """DistilBERT, small and random."""
    return tiny.make(tmp_path_factory.mktemp("embedder"), "distilbert", "embedding")


@asynccontextmanager
async def serving(spec: Any) -> Any:
    fleet = Fleet()
    fleet.add(spec, DeploymentSettings())
    fleet.start()
    try:
        await fleet.loaded()
        yield fleet
    finally:
        await fleet.drain(5.0)


def test_a_served_model_embeds(embedder: tiny.Tiny) -> None:
    async def scenario() -> None:
        async with serving(embedder.spec) as fleet:
            settings = RouteSettings(
                models=("small", "large"), cache=ResponseCacheSettings(similarity=0.999, embedder="tiny")
            )
            embed = Embedder(fleet, fleet, "tiny", patience_s=20)
            cache = Responses("route", settings, fleet, similar=Similar(embed, 0.999))
            computing = AtOnce()
            await cache.answer(asks(question("the quick brown fox")), computing)
            reply = await cache.answer(asks(question("The quick BROWN fox")), computing)
            assert (said(reply), reply.meta.cache) == ("Here 1", "hit"), "the tokenizer lowers the case"
            assert (await cache.answer(asks(question("shells by the sea")), computing)).meta.cache == "miss"
            await fleet.unload("tiny")
            assert (await cache.answer(asks(question("the quick brown FOX")), computing)).meta.cache == "miss"

    run(scenario())


class Ready(Served):
    """A text model that has loaded."""

    def find(self, name: str, version: str | None = None) -> Any:
        return SimpleNamespace(signature=Signature((TensorSpec("text", "BYTES", (-1,)),), task="embedding"))


class Refuses(Computing):
    async def __call__(self, request: Request) -> Reply:
        raise Overloaded("full")


class Fails(Computing):
    async def __call__(self, request: Request) -> Reply:
        reply = await super().__call__(request)
        reply.settle(WorkerLost("gone"))
        return reply


@pytest.mark.parametrize("handler", [Refuses(), Fails()])
def test_an_embedder_that_fails_fails_nobody(handler: Computing) -> None:
    assert run(Embedder(handler, Ready(), "tiny")(asks(), "x")) is None


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeOpenAI]:
    """A provider of embeddings."""
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    with FakeOpenAI() as found:
        yield found


def test_an_embedder_that_hangs_is_left_alone(fake: FakeOpenAI) -> None:
    async def scenario() -> None:
        async with served(fake, task="embedding") as fleet:
            clock = StillClock(time.monotonic())
            embed = Embedder(fleet, fleet, "m", clock, patience_s=0.05)
            fake.plan = plans.mute()
            for _ in range(10):
                clock.now = max(clock.now, time.monotonic())
                assert await embed(asks(), "x") is None
            assert len(fake.calls) == 3
            fake.plan = plans.Plan()
            clock.advance(6.0)
            later = Embedder(fleet, fleet, "m", clock, patience_s=20)
            later._breaker = embed._breaker
            found = await asyncio.gather(*[later(asks(), "x") for _ in range(3)])
            assert [vector is not None for vector in found] == [True, False, False], "one tries it"
            assert await later(asks(), "x") is not None

    run(scenario())


def test_only_the_embedder_is_blamed_for_what_is_its_own(fake: FakeOpenAI) -> None:
    async def scenario() -> None:
        async with served(fake, task="embedding") as fleet:
            embed = Embedder(fleet, fleet, "m", patience_s=20)
            fake.plan = plans.mute()
            for _ in range(5):
                assert await embed(asks(deadline=time.monotonic() + 0.02), "x") is None
                task = asyncio.create_task(embed(asks(), "x"))
                await asyncio.sleep(0.01)
                task.cancel()
                await asyncio.wait((task,))
            fake.plan = plans.Plan()
            assert await embed(asks(), "x") is not None

    run(scenario())


def test_an_embedder_that_is_not_there_fails_nobody(embedder: tiny.Tiny) -> None:
    fleet = Fleet()
    fleet.add(embedder.spec, DeploymentSettings())
    assert run(Embedder(AtOnce(), fleet, "tiny")(asks(), "x")) is None, "it has not loaded yet"
    assert run(Embedder(AtOnce(), fleet, "other")(asks(), "x")) is None
