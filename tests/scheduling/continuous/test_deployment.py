"""A language model's deployment with its engine in a thread: what goes in comes out, once, and is counted."""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager

import pytest

from penstock.core.clock import system_clock
from penstock.core.errors import BadInput, Cancelled, DeadlineExceeded, Overloaded, RequestRefused, TooLarge, WorkerLost
from penstock.core.generation import Event, Generated, Generation, Started, Stopped, Text
from penstock.core.model import ModelSpec, State
from penstock.core.reply import Reply
from penstock.core.request import Request
from penstock.core.tensors import Tensor, bytes_array
from penstock.scheduling.continuous.deployment import LanguageDeployment
from penstock.scheduling.continuous.flow import COUNTS
from penstock.scheduling.continuous.intake import LONGEST
from penstock.scheduling.continuous.settings import GenerationSettings
from penstock.scheduling.frames import MAX_HEADER
from penstock.scheduling.settings import DeploymentSettings
from tests.scheduling.continuous.engines import Parrot


def in_a_loop(test: Callable[[], Coroutine[None, None, None]]) -> Callable[[], None]:
    """Runs a test in an event loop of its own."""
    return lambda: asyncio.run(test())


@asynccontextmanager
async def serving(parrot: Parrot, **settings: float) -> AsyncIterator[LanguageDeployment]:
    generation = GenerationSettings(**settings)  # type: ignore[arg-type]
    spec = ModelSpec(name="m", runtime="parrot", path="")
    deployment = LanguageDeployment(spec, DeploymentSettings(generation=generation), create=lambda name: parrot)
    deployment.start()
    await asyncio.wait_for(deployment.loaded.wait(), 10)
    try:
        yield deployment
    finally:
        await deployment.close()


async def asked(deployment: LanguageDeployment, prompt: str, **more: float) -> Reply:
    return await deployment(Request("1", "m", Generation(prompt=prompt), **more))  # type: ignore[arg-type]


async def until(holds: Callable[[], bool], seconds: float) -> None:
    """Waits for something that nobody announces."""
    for _ in range(int(seconds * 100)):
        if holds():
            return
        await asyncio.sleep(0.01)
    raise TimeoutError


async def events(reply: Reply) -> list[Event]:
    async with asyncio.timeout(20):
        return [event async for event in reply]


def said(got: list[Event]) -> str:
    return "".join(event.text for event in got if isinstance(event, Text))


@in_a_loop
async def test_many_at_once_each_get_their_own() -> None:
    parrot = Parrot()
    async with serving(parrot) as deployment:
        prompts = [" ".join(f"w{number}.{word}" for word in range(number % 7)) + " end" for number in range(40)]
        replies = [await asked(deployment, prompt) for prompt in prompts]
        for prompt, reply in zip(prompts, replies, strict=True):
            got = await events(reply)
            assert isinstance(got[0], Started)
            assert isinstance(got[-1], Stopped)
            assert said(got).split() == prompt.split()
            assert isinstance(reply.outcome, Generated)
    assert parrot.most == parrot.sequences


@in_a_loop
async def test_large_requests_and_large_news_pass_each_other() -> None:
    parrot = Parrot(sequences=64)
    word = "水" * 1_000_000
    async with serving(parrot) as deployment:
        replies = [await asked(deployment, f"{word} {number}") for number in range(24)]
        for number, reply in enumerate(replies):
            assert said(await events(reply)).split() == [word, str(number)]


@in_a_loop
async def test_an_engine_in_a_thread_is_closed_with_its_deployment() -> None:
    parrot = Parrot()
    async with serving(parrot) as deployment:
        await events(await asked(deployment, "one"))
        assert parrot.closed == 0
    await until(lambda: parrot.closed == 1, 5)


@in_a_loop
async def test_the_first_event_or_error_decides() -> None:
    async with serving(Parrot()) as deployment:
        reply = await asked(deployment, "hello")
        await reply.began()
        assert not reply.done or reply.generated()
        with pytest.raises(BadInput, match="that is wrong"):
            await (await asked(deployment, "wrong")).began()
        with pytest.raises(BadInput, match="generates text"):
            await deployment(Request("1", "m", {"x": Tensor("BYTES", bytes_array(["a"]))}))
        assert said(await events(await asked(deployment, "still here"))) == "still here "


@in_a_loop
async def test_more_answers_than_places_and_more_bytes_than_a_frame_are_refused() -> None:
    async with serving(Parrot(sequences=4)) as deployment:
        with pytest.raises(BadInput, match="n may be at most 4") as refused:
            await deployment(Request("1", "m", Generation(prompt="hello", choices=5)))
        assert refused.value.param == "n"
        with pytest.raises(TooLarge, match="as a message to the model"):
            await asked(deployment, "a" * MAX_HEADER)
        longest = await asked(deployment, "a" * (LONGEST - 100))
        assert said(await events(longest)) == "a" * (LONGEST - 100) + " "


@in_a_loop
async def test_counting_is_bounded_and_holds_nobody_back() -> None:
    parrot = Parrot(pause_s=0.02)
    async with serving(parrot, queue_size=100) as deployment:
        counts = [await deployment(Request("1", "m", Generation(prompt="a b", count_only=True))) for _ in range(100)]
        await until(lambda: bool(parrot.jobs), 5)
        assert len(parrot.jobs) <= COUNTS
        refused = 0
        for _ in range(COUNTS + 1):
            try:
                counts.append(await deployment(Request("1", "m", Generation(prompt="a b", count_only=True))))
            except Overloaded:
                refused += 1
        assert refused
        for reply in counts:
            await events(reply)


@in_a_loop
async def test_full_lines_refuse_and_recover() -> None:
    async with serving(Parrot(pause_s=0.01), queue_size=2) as deployment:
        replies = []
        for _ in range(4):
            replies.append(await asked(deployment, "a b c d e f"))
            await asyncio.sleep(0.02)
        replies += [await asked(deployment, "a b c") for _ in range(2)]
        with pytest.raises(Overloaded) as refused:
            await asked(deployment, "a")
        assert refused.value.retry_after_s
        for reply in replies:
            await events(reply)
        assert said(await events(await asked(deployment, "again"))) == "again "


@in_a_loop
async def test_closed_replies_leave_the_engine() -> None:
    parrot = Parrot(pause_s=0.01)
    async with serving(parrot) as deployment:
        replies = [await asked(deployment, "word " * 1000) for _ in range(8)]
        await replies[0].began()
        for reply in replies:
            reply.close()
            assert isinstance(reply.outcome, Cancelled)
        await until(lambda: not (parrot.jobs or not deployment.flow.idle), 5)
        assert deployment.gauges()["in_flight"] == 0


@in_a_loop
async def test_deadlines_hold_while_it_generates() -> None:
    parrot = Parrot(pause_s=0.01)
    async with serving(parrot) as deployment:
        reply = await asked(deployment, "word " * 10_000, deadline=system_clock() + 0.2)
        with pytest.raises(DeadlineExceeded):
            await events(reply)
        await until(lambda: not parrot.jobs, 5)


@in_a_loop
async def test_an_engine_that_raises_ends_what_had_begun_and_is_replaced() -> None:
    with contextlib.redirect_stderr(io.StringIO()) as log:
        await _the_engine_raises()
    assert "RuntimeError: the engine raised" in log.getvalue()


async def _the_engine_raises() -> None:
    parrot = Parrot(pause_s=0.01)
    async with serving(parrot) as deployment:
        under_way = await asked(deployment, "word " * 1000)
        await under_way.began()
        guilty = await asked(deployment, "raise")
        with pytest.raises(WorkerLost):
            await events(under_way)
        with pytest.raises(RequestRefused):
            await events(guilty)
        await until(lambda: deployment.state is State.READY, 10)
        assert said(await events(await asked(deployment, "fine again"))) == "fine again "


@in_a_loop
async def test_what_happened_is_counted() -> None:
    async with serving(Parrot()) as deployment:
        await events(await asked(deployment, "one two"))
        spans = deployment.generation.spans()
        assert spans["whole"].count == spans["first"].count == spans["queue"].count == 1
        assert spans["between"].count == 1
        assert deployment.generation.reasons == {"stop": 1}
        assert deployment.generation.completion_tokens == 2
        assert deployment.stats.requests == 1
        assert deployment.engine_stats.running == 0


@in_a_loop
async def test_a_number_that_cannot_cross_is_refused_and_harms_nobody() -> None:
    async with serving(Parrot()) as deployment:
        huge = Generation(prompt="hello", format={"type": "integer", "maximum": 2**70})
        with pytest.raises(BadInput, match="too large"):
            await deployment(Request("1", "m", huge))
        assert said(await events(await asked(deployment, "well"))) == "well "


@in_a_loop
async def test_counting_tokens_waits_for_no_place() -> None:
    async with serving(Parrot(pause_s=0.01, sequences=1)) as deployment:
        long = await asked(deployment, "word " * 500)
        await long.began()
        count = await deployment(Request("2", "m", Generation(prompt="how many", count_only=True)))
        await events(count)
        assert not long.done
        assert deployment.generation.spans()["whole"].count == 0
        long.close()
