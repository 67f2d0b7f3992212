"""Models of Anthropic, Gemini, Cohere and Bedrock in service: the real client, over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import numpy as np
import pytest

from penstock.core.errors import PenstockError, ProviderFailed, ProviderThrottled
from penstock.core.generation import Event, Generation, Message, Text
from penstock.core.model import ModelSpec
from penstock.core.request import Request
from penstock.core.tensors import Tensor
from penstock.fakes.anthropic import FakeAnthropic
from penstock.fakes.bedrock import ACCESS, SECRET, FakeBedrock
from penstock.fakes.cohere import FakeCohere
from penstock.fakes.gemini import FakeGemini
from penstock.fakes.plans import cut, silent, throttled
from penstock.fakes.speech import Said
from penstock.protocols.generation.answers import Answer, collect, follow
from penstock.scheduling.remote.choice import kind
from penstock.scheduling.settings import DeploymentSettings

KEY = "a-key-of-the-fake"
HI = Generation(messages=(Message("user", "How are you?"),))


class Cloud(NamedTuple):
    """A provider, its fake, and a model of it."""

    name: str
    fake: Callable[..., Any]
    variable: str
    model: str


CLOUDS = [
    Cloud("anthropic", FakeAnthropic, "ANTHROPIC_API_KEY", "claude-haiku-4-5"),
    Cloud("gemini", FakeGemini, "GEMINI_API_KEY", "gemini-2.5-flash"),
    Cloud("cohere", FakeCohere, "CO_API_KEY", "command-a-03-2025"),
    Cloud("bedrock", FakeBedrock, "AWS_BEARER_TOKEN_BEDROCK", "us.anthropic.claude-haiku-4-5-20251001-v1:0"),
]
clouds = pytest.mark.parametrize("cloud", CLOUDS, ids=[cloud.name for cloud in CLOUDS])


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for cloud in CLOUDS:
        monkeypatch.setenv(cloud.variable, KEY)


@asynccontextmanager
async def serving(cloud: Cloud, url: str, **options: Any) -> AsyncIterator[Any]:
    """A deployment of the cloud's model at this address."""
    plain = {"provider": cloud.name, "model": cloud.model, "url": url, "region": "eu-central-1", **options}
    spec = ModelSpec(name="m", runtime="remote", path="", options=plain)
    deployment = kind(spec)(spec, DeploymentSettings())
    deployment.start()
    assert deployment.failure is None
    try:
        yield deployment
    finally:
        await deployment.close()


async def answer(deployment: Any, generation: Generation = HI) -> Answer:
    return await collect(await deployment(Request("1", "m", generation)))


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 30))  # type: ignore[arg-type]


@clouds
def test_an_answer(cloud: Cloud) -> None:
    async def test() -> None:
        async with serving(cloud, fake.url) as deployment:
            for _ in range(3):
                found = await answer(deployment)
                assert found.choices[0].text == "You said: How are you?"
                assert (found.usage.prompt_tokens, found.usage.completion_tokens) == (3, 5)
            assert fake.connections == 1

    with cloud.fake(key=KEY) as fake:
        run(test)


@clouds
def test_a_whole_answer(cloud: Cloud) -> None:
    async def test() -> None:
        async with serving(cloud, fake.url, stream=False) as deployment:
            assert (await answer(deployment)).choices[0].text == "You said: How are you?"

    with cloud.fake(key=KEY) as fake:
        run(test)


@clouds
def test_a_count(cloud: Cloud) -> None:
    async def test() -> None:
        async with serving(cloud, fake.url) as deployment:
            found = await answer(deployment, Generation(messages=HI.messages, count_only=True))
            assert found.started.prompt_tokens > 0

    with cloud.fake(key=KEY) as fake:
        run(test)


@clouds
def test_what_goes_wrong(cloud: Cloud) -> None:
    async def test() -> None:
        async with serving(cloud, fake.url, first_byte_timeout_ms=200, idle_timeout_ms=200) as deployment:
            for plan, error in (
                (throttled(7), ProviderThrottled),
                (cut(1), ProviderFailed),
                (silent(2), ProviderFailed),
            ):
                fake.script(plan)
                with pytest.raises(error) as told:
                    await answer(deployment)
                assert KEY not in f"{told.value.message} {told.value.detail}"
            assert (await answer(deployment)).choices[0].text == "You said: How are you?"

    with cloud.fake(key=KEY) as fake:
        run(test)


@clouds
def test_nothing_is_told_twice_when_a_stream_breaks(cloud: Cloud) -> None:
    async def test() -> None:
        async with serving(cloud, fake.url) as deployment:
            fake.script(cut(3))
            events: list[Event] = []
            with pytest.raises(PenstockError):
                await follow(await deployment(Request("1", "m", HI)), events.append)
            texts = [event.text for event in events if isinstance(event, Text)]
            assert "You said: How are you?".startswith("".join(texts))

    with cloud.fake(key=KEY) as fake:
        run(test)


@clouds
def test_many_at_once(cloud: Cloud) -> None:
    async def test() -> None:
        async with serving(cloud, fake.url, max_concurrency=8) as deployment:
            asked = [Generation(messages=(Message("user", f"number {index}"),)) for index in range(40)]
            found = await asyncio.gather(*(answer(deployment, one) for one in asked))
            assert [one.choices[0].text for one in found] == [f"You said: number {index}" for index in range(40)]
            assert fake.connections <= 8

    with cloud.fake(key=KEY) as fake:
        run(test)


@pytest.mark.parametrize(
    ("name", "model"),
    [("gemini", "gemini-embedding-001"), ("cohere", "embed-v4.0"), ("bedrock", "amazon.titan-embed-text-v2:0")],
)
def test_embeddings(name: str, model: str) -> None:
    async def test() -> None:
        async with serving(cloud, fake.url, task="embedding", model=model) as deployment:
            texts = np.array([f"text {index}".encode() for index in range(5)], object)
            reply = await deployment(Request("1", "m", {"text": Tensor("BYTES", texts)}))
            found = await reply.result()
            vectors = next(tensor.array for tensor in found.values() if tensor.array.ndim == 2)
            assert vectors.shape == (5, 8)
            assert vectors.dtype == np.float32

    cloud = next(cloud for cloud in CLOUDS if cloud.name == name)
    with cloud.fake(key=KEY) as fake:
        run(test)


def test_bedrock_signs_what_has_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The signature is over the address as it goes out: a client that writes it in another way is refused."""

    async def test() -> None:
        async with serving(CLOUDS[3], fake.url) as deployment:
            assert (await answer(deployment)).choices[0].text == "You said: How are you?"
        assert "%3A0/converse-stream" in fake.calls[-1].path
        assert fake.calls[-1].headers["authorization"].startswith("AWS4-HMAC-SHA256")

    monkeypatch.delenv("AWS_BEARER_TOKEN_BEDROCK")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    with FakeBedrock() as fake:
        run(test)


def test_signatures_of_geminis_thoughts_go_through_the_server() -> None:
    async def test() -> None:
        async with serving(cloud, fake.url) as deployment:
            calls = (await answer(deployment)).choices[0].calls
            turns = (
                *HI.messages,
                Message("assistant", calls=tuple(calls)),
                Message("tool", "sun", call_id=calls[0].id),
            )
            fake.said = Said("Sunny.")
            assert (await answer(deployment, Generation(messages=turns))).choices[0].text == "Sunny."

    cloud = CLOUDS[1]._replace(model="gemini-3-pro-preview")
    with FakeGemini(key=KEY, said=Said(calls=(("weather", "{}"),))) as fake:
        fake.signs = True
        run(test)
