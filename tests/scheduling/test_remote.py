"""Models of providers in service: over real sockets, with everything that providers do wrong."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from penstock.core.clock import system_clock
from penstock.core.deadline import NEVER
from penstock.core.errors import (
    BadInput,
    Cancelled,
    ContextExceeded,
    DeadlineExceeded,
    Draining,
    NotAccepted,
    NotOffered,
    Overloaded,
    PenstockError,
    ProviderFailed,
    ProviderRefused,
    ProviderSilent,
    ProviderThrottled,
    Unavailable,
)
from penstock.core.generation import CallStarted, Generated, Generation, Message, Sampling, Started, Text
from penstock.core.model import State
from penstock.fakes import plans
from penstock.fakes.anthropic import FakeAnthropic
from penstock.fakes.bedrock import ACCESS, SECRET, FakeBedrock
from penstock.fakes.cohere import FakeCohere
from penstock.fakes.gemini import FakeGemini
from penstock.fakes.openai import FakeOpenAI
from penstock.fakes.plans import Plan
from penstock.fakes.speech import Said
from penstock.scheduling.remote.language import RemoteLanguage
from tests.scheduling.remotes import ANSWER, HI, asked, events, said, served, until

KEY = "sk-very-secret-0123456789"


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


@pytest.fixture
def fake() -> Iterator[FakeOpenAI]:
    with FakeOpenAI(key=KEY) as found:
        yield found


def deployment(fleet: Any) -> RemoteLanguage:
    found = fleet.find("m")
    assert isinstance(found, RemoteLanguage)
    return found


# --- answers


def test_an_answer_comes_piece_by_piece(fake: FakeOpenAI) -> None:
    async def ask() -> None:
        async with served(fake) as fleet:
            reply = await asked(fleet)
            found = await events(reply)
            assert isinstance(found[0], Started)
            assert [event.text for event in found if isinstance(event, Text)] == [
                "You",
                " said:",
                " How",
                " are",
                " you?",
            ]
            assert isinstance(reply.outcome, Generated)
            meta = reply.meta
            assert (meta.model, meta.version, meta.usage) == ("m", "1", reply.outcome.usage)
            assert 0 < meta.first_s <= meta.total_s < 10
            stats = deployment(fleet).stats
            assert (stats.requests, stats.failures) == (1, 0)
            recorder = deployment(fleet).generation
            assert (recorder.prompt_tokens, recorder.completion_tokens, recorder.reasons["stop"]) == (3, 5, 1)

    asyncio.run(ask())


def test_connections_are_used_again(fake: FakeOpenAI) -> None:
    async def ask() -> None:
        async with served(fake) as fleet:
            for plan in (plans.GOOD, plans.throttled(), plans.wrong("no"), plans.GOOD, plans.GOOD):
                fake.script(plan)
                await events(await asked(fleet))
            assert fake.connections == 1
            await asyncio.gather(*(said(fleet) for _ in range(8)))
            assert fake.connections <= 8

    asyncio.run(ask())


@pytest.mark.parametrize("stream", [True, False])
def test_a_provider_that_answers_whole(fake: FakeOpenAI, stream: bool) -> None:
    async def ask() -> None:
        async with served(fake, stream=stream, extra={"stream": False}) as fleet:
            assert await said(fleet) == ANSWER

    asyncio.run(ask())


@pytest.mark.parametrize(
    ("stream", "whole", "streamed"),
    [(None, True, False), (None, False, True), (True, True, True), (False, False, False)],
)
def test_answers_are_asked_for_as_they_are_wanted(
    fake: FakeOpenAI, stream: bool | None, whole: bool, streamed: bool
) -> None:
    async def ask() -> None:
        async with served(fake, stream=stream) as fleet:
            assert await said(fleet, whole=whole) == ANSWER
            assert fake.calls[-1].json.get("stream", False) is streamed

    asyncio.run(ask())


def test_a_whole_answer_has_the_time_to_be_written(fake: FakeOpenAI) -> None:
    """25 tokens a second, after the time for the first."""
    short, long = (msgspec.structs.replace(HI, sampling=Sampling(max_tokens=tokens)) for tokens in (5, 50))

    async def ask() -> None:
        async with served(fake, first_byte_timeout_ms=100, idle_timeout_ms=100) as fleet:
            fake.plan = plans.slow(0.8)
            assert await said(fleet, long, whole=True) == ANSWER
            for generation, whole in ((short, True), (long, False)):
                with pytest.raises(ProviderSilent):
                    await said(fleet, generation, whole=whole)

    asyncio.run(ask())


def test_a_whole_answer_that_stops_in_the_middle(fake: FakeOpenAI) -> None:
    """Its writing is over, so it may only be silent for as long as any that has begun."""

    async def ask() -> None:
        async with served(fake, first_byte_timeout_ms=5000, idle_timeout_ms=200) as fleet:
            fake.script(plans.silent(3))
            with pytest.raises(ProviderSilent, match=r"was silent for 0\.2 s"):
                await said(fleet, whole=True)

    asyncio.run(ask())


@pytest.mark.parametrize("end", ["left", "late"])
def test_a_whole_answer_that_nobody_waits_for_took_tokens_all_the_same(fake: FakeOpenAI, end: str) -> None:
    async def ask() -> None:
        async with served(fake) as fleet:
            fake.script(plans.slow(30))
            late = system_clock() + 0.5 if end == "late" else NEVER
            reply = await asked(fleet, whole=True, deadline=late)
            await asyncio.sleep(0.5)
            if end == "left":
                reply.close()
            await events(reply)
            usage = reply.meta.usage
            assert usage is not None
            assert usage.prompt_tokens > 0
            assert 10 <= usage.completion_tokens <= 4096

    asyncio.run(ask())


def test_nobody_knows_when_a_whole_answer_began(fake: FakeOpenAI) -> None:
    async def ask() -> None:
        async with served(fake) as fleet:
            reply = await asked(fleet, whole=True)
            await events(reply)
            assert (reply.meta.first_s, reply.meta.total_s > 0) == (0.0, True)
            spans = deployment(fleet).generation.spans()
            assert [int(spans[name].count) for name in ("whole", "first", "decode")] == [1, 0, 0]

    asyncio.run(ask())


def test_a_provider_that_streams_whatever_it_is_asked(fake: FakeOpenAI) -> None:
    async def ask() -> None:
        async with served(fake, extra={"stream": True}) as fleet:
            assert await said(fleet, whole=True) == ANSWER

    asyncio.run(ask())


def test_options_of_streams_go_with_streams_only(fake: FakeOpenAI) -> None:
    async def ask() -> None:
        async with served(fake, extra={"stream_options": {"include_usage": True, "more": 1}}) as fleet:
            for whole in (True, False):
                assert await said(fleet, whole=whole) == ANSWER
                assert ("stream_options" in fake.calls[-1].json) is not whole

    asyncio.run(ask())


@pytest.mark.parametrize("whole", [True, False])
def test_the_clouds_through_the_same_door(monkeypatch: pytest.MonkeyPatch, whole: bool) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("THEIR_KEY", KEY)
    clouds = (
        ("anthropic", FakeAnthropic(key=KEY), {"key": "env:THEIR_KEY"}),
        ("gemini", FakeGemini(key=KEY), {"key": "env:THEIR_KEY"}),
        ("cohere", FakeCohere(key=KEY), {"key": "env:THEIR_KEY"}),
        ("bedrock", FakeBedrock(), {"region": "eu-central-1"}),
        ("bedrock", FakeBedrock(key=KEY), {"region": "eu-central-1", "key": "env:THEIR_KEY"}),
        ("mistral", FakeOpenAI(key=KEY), {"key": "env:THEIR_KEY"}),
    )

    async def ask(name: str, cloud: Any, options: Any) -> None:
        async with served(cloud, name, **options) as fleet:
            assert await said(fleet, whole=whole) == ANSWER
            cloud.script(plans.cut(3))
            *_, error = await events(await asked(fleet, whole=whole))
            assert isinstance(error, ProviderFailed)
            reply = await asked(fleet, whole=whole)
            await events(reply)
            usage = reply.meta.usage
            assert usage is not None
            assert (usage.prompt_tokens, usage.completion_tokens) == (3, 5) or (name == "mistral" and not whole)

    for name, cloud, options in clouds:
        with cloud:
            asyncio.run(ask(name, cloud, options))


# --- faults


@pytest.mark.parametrize(
    ("plan", "kind", "says"),
    [
        (plans.throttled(3), ProviderThrottled, "quota"),
        (plans.failing(500), ProviderFailed, "status 500"),
        (plans.failing(503), ProviderFailed, "status 503"),
        (plans.unauthorized(KEY), ProviderRefused, "does not accept this server's key"),
        (plans.wrong("temperature must be at most 2"), NotAccepted, "temperature must be at most 2"),
        (plans.wrong("maximum context length is 8192 tokens"), ContextExceeded, "8192"),
        (plans.wrong("nothing here", 404), ProviderRefused, "knows no such model"),
        (plans.cut(0), ProviderFailed, "broke"),
        (plans.garbage(0), ProviderFailed, "sent something"),
        (plans.html(), ProviderFailed, "a page for people"),
        (plans.short(0), ProviderFailed, "in the middle"),
        (plans.silent(0), ProviderSilent, "did not begin to answer within 0.2 s"),
        (plans.silent(1), ProviderSilent, "did not begin to answer within 0.2 s"),
        (plans.mute(), ProviderSilent, "did not begin to answer within 0.2 s"),
        (Plan(drip_s=0.01), ProviderSilent, "did not begin to answer within 0.2 s"),
        (Plan(status=302, headers={"location": "http://127.0.0.1:9/"}), ProviderFailed, "sends elsewhere"),
        (Plan(status=204, body=b""), ProviderFailed, "status 204"),
        (Plan(body=b"", content_type="text/event-stream"), ProviderFailed, "in the middle"),
        (Plan(headers={"x-long": "y" * 20_000}, body=b"{}"), ProviderFailed, "no HTTP answer"),
    ],
)
def test_before_the_first_word_nothing_is_told(
    fake: FakeOpenAI, plan: Plan, kind: type[PenstockError], says: str
) -> None:
    async def ask() -> None:
        async with served(fake, first_byte_timeout_ms=200, idle_timeout_ms=100) as fleet:
            fake.script(plan)
            found = await events(await asked(fleet))
            assert [type(item) for item in found] == [kind]
            error = found[0]
            assert says in error.message
            assert KEY not in f"{error.message} {error.detail}"
            assert error.retry_after_s == (3 if kind is ProviderThrottled else None)
            assert await said(fleet) == ANSWER
            assert deployment(fleet).recorder.errors[error.code] == 1

    asyncio.run(ask())


@pytest.mark.parametrize("plan", [plans.cut(3), plans.short(3), plans.silent(3), plans.garbage(3)])
def test_after_the_first_word_the_error_comes_last(fake: FakeOpenAI, plan: Plan) -> None:
    async def ask() -> None:
        async with served(fake, idle_timeout_ms=100) as fleet:
            fake.script(plan)
            reply = await asked(fleet)
            found = await events(reply)
            assert isinstance(found[0], Started)
            assert "".join(event.text for event in found[1:-1]) in ("You", "You said:")
            assert isinstance(found[-1], ProviderFailed)
            assert reply.meta.usage is not None
            assert reply.meta.usage.completion_tokens > 0
            assert await said(fleet) == ANSWER

    asyncio.run(ask())


def test_an_answer_that_was_whole_when_the_connection_broke(fake: FakeOpenAI) -> None:
    async def ask() -> None:
        async with served(fake) as fleet:
            fake.script(plans.cut(7))
            assert await said(fleet) == ANSWER
            assert len(fake.calls) == 1

    asyncio.run(ask())


def test_a_model_that_thinks_longer_than_it_may_be_silent(fake: FakeOpenAI) -> None:
    async def ask() -> None:
        async with served(fake, first_byte_timeout_ms=5000, idle_timeout_ms=300) as fleet:
            fake.script(Plan(wait_s=0.6))
            assert await said(fleet) == ANSWER

    asyncio.run(ask())


def test_a_connection_that_is_never_taken(fake: FakeOpenAI) -> None:
    """A listener whose line is full: the kernel answers nobody."""

    async def ask(url: str) -> None:
        async with served(fake, url=url, connect_timeout_ms=200) as fleet:
            *_, error = await events(await asked(fleet))
            assert isinstance(error, ProviderFailed)
            assert error.message == "openai took no connection within 0.2 s"

    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, contextlib.ExitStack() as stack:
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        asyncio.run(ask(f"http://127.0.0.1:{listener.getsockname()[1]}/v1"))


def test_a_provider_that_is_not_there(fake: FakeOpenAI) -> None:
    async def ask() -> None:
        async with served(fake) as fleet:
            fake.down()
            *_, error = await events(await asked(fleet))
            assert (type(error), error.message) == (ProviderFailed, "openai cannot be reached")
            fake.up()
            assert await said(fleet) == ANSWER
            assert deployment(fleet).state is State.READY

    asyncio.run(ask())


def test_time_that_the_request_gives(fake: FakeOpenAI) -> None:
    async def ask() -> None:
        async with served(fake) as fleet:
            fake.plan = plans.mute()
            began = time.monotonic()
            *_, error = await events(await asked(fleet, deadline=system_clock() + 0.1))
            assert isinstance(error, DeadlineExceeded)
            assert time.monotonic() - began < 5
            with pytest.raises(BadInput, match="timeout_ms may be at most"):
                await asked(fleet, deadline=system_clock() + 10**6)
        async with served(fake, timeout_ms=100) as fleet:
            *_, error = await events(await asked(fleet))
            assert isinstance(error, DeadlineExceeded)

    asyncio.run(ask())


def test_a_key_that_is_replaced_in_its_file(fake: FakeOpenAI, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("an-old-key")

    async def ask() -> None:
        async with served(fake, key=f"file:{file}") as fleet:
            *_, error = await events(await asked(fleet))
            assert isinstance(error, ProviderRefused)
            file.write_text(KEY)
            assert await said(fleet) == ANSWER

    asyncio.run(ask())


def test_a_key_that_is_replaced_while_calls_are_under_way(fake: FakeOpenAI, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("an-old-key")

    async def ask() -> None:
        async with served(fake, key=f"file:{file}") as fleet:
            fake.script(*[Plan(wait_s=0.1)] * 8)
            answers = [asyncio.create_task(said(fleet)) for _ in range(8)]
            await until(lambda: len(fake.calls) == 8)
            file.write_text(KEY)
            assert await asyncio.gather(*answers) == [ANSWER] * 8
            assert len(fake.calls) == 16

    asyncio.run(ask())


def in_stream(words: str) -> Plan:
    """An error inside an answer."""
    body = b"data: %b\n\n" % msgspec.json.encode({"error": {"message": words, "code": 400}})
    return Plan(body=body, content_type="text/event-stream")


def in_document(words: str) -> Plan:
    """The same in a whole one."""
    return Plan(body=msgspec.json.encode({"error": {"message": words, "code": 400}}))


@pytest.mark.parametrize("plan", [plans.wrong, in_stream, in_document])
def test_what_providers_repeat_of_ones_secrets(fake: FakeOpenAI, monkeypatch: pytest.MonkeyPatch, plan: Any) -> None:
    """Wherever it stands, and the headers of one's own too."""
    secret = "corp-secret-token-abcdef"
    fake.key = ""
    monkeypatch.setenv("THEIR_KEY", secret)
    monkeypatch.setenv("MORE", f"{secret}-of-the-header")

    async def ask() -> None:
        async with served(fake, key="env:THEIR_KEY", headers={"x-api-key": "env:MORE"}) as fleet:
            for words in (f"wrong token {secret} here", f"no project for {secret}-of-the-header"):
                fake.script(plan(words))
                *_, error = await events(await asked(fleet))
                assert type(error) is NotAccepted
                assert "[hidden]" in error.message
                assert secret not in f"{error.message} {error.detail} {error}"

    asyncio.run(ask())


@pytest.mark.parametrize("plan", [plans.wrong("Not Found", 404), plans.wrong("", 405)])
def test_a_call_that_the_provider_does_not_have(fake: FakeOpenAI, plan: Plan) -> None:
    """One that asks for a completion says nothing about the model, whose chats go on."""

    async def ask() -> None:
        async with served(fake) as fleet:
            fake.script(plan)
            *_, error = await events(await asked(fleet, Generation(prompt="Once")))
            assert type(error) is NotOffered
            assert "send messages" in error.message
            fake.script(plans.wrong("nothing here", 404))
            *_, error = await events(await asked(fleet))
            assert type(error) is ProviderRefused

    asyncio.run(ask())


def test_counting_that_the_provider_does_not_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)

    async def ask(cloud: FakeAnthropic) -> None:
        async with served(cloud, "anthropic") as fleet:
            cloud.script(plans.wrong("Not Found", 404))
            *_, error = await events(await asked(fleet, Generation(messages=HI.messages, count_only=True)))
            assert type(error) is NotOffered

    with FakeAnthropic(key=KEY) as cloud:
        asyncio.run(ask(cloud))


# --- signs of life


def test_parts_of_a_call_are_signs_of_life(fake: FakeOpenAI) -> None:
    """Calls are told once they are whole; until then whoever waits hears that somebody speaks."""
    fake.said = Said(calls=(("weather", '{"city": "Oslo", "days": 14, "unit": "celsius"}'),))
    fake.plan = Plan(gap_s=0.02)

    async def ask() -> None:
        async with served(fake) as fleet:
            reply, lives = await asked(fleet), []
            reply.on_alive = lambda: lives.append(reply.take())
            await reply.began()
            assert len(lives) >= 5
            assert not any(lives)
            told = len(lives)
            assert isinstance((await events(reply))[1], CallStarted)
            assert len(lives) == told

    asyncio.run(ask())


def test_pings_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    ping = b'event: ping\ndata: {"type": "ping"}\n\n'

    async def ask(cloud: FakeAnthropic) -> None:
        async with served(cloud, "anthropic") as fleet:
            cloud.script(Plan(body=ping * 5, content_type="text/event-stream"))
            reply, lives = await asked(fleet), []
            reply.on_alive = lambda: lives.append(1)
            await events(reply)
            assert not lives

    with FakeAnthropic(key=KEY) as cloud:
        asyncio.run(ask(cloud))


def test_who_leaves_the_line_is_told(fake: FakeOpenAI) -> None:
    async def ask() -> None:
        async with served(fake, max_concurrency=1) as fleet:
            fake.script(plans.mute(), plans.mute())
            first, second, lives = await asked(fleet), await asked(fleet), []
            second.on_alive = lambda: lives.append(1)
            await until(lambda: fake.calls)
            assert not lives
            first.close()
            await until(lambda: len(fake.calls) == 2)
            assert len(lives) == 1
            second.close()

    asyncio.run(ask())


def test_headers_of_ones_own(fake: FakeOpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAM", "blue")

    async def ask() -> None:
        async with served(fake, headers={"X-Team": "env:TEAM"}) as fleet:
            await said(fleet)

    asyncio.run(ask())
    headers = fake.calls[0].headers
    assert (headers["x-team"], headers["authorization"]) == ("blue", f"Bearer {KEY}")
    assert headers["user-agent"].startswith("penstock/")
    assert headers["accept-encoding"] == "identity"


# --- who leaves, who waits


@pytest.mark.parametrize("plan", [plans.mute(), plans.silent(0), plans.silent(3), Plan(gap_s=0.05)])
def test_who_leaves_frees_the_place(fake: FakeOpenAI, plan: Plan) -> None:
    async def ask() -> None:
        async with served(fake, max_concurrency=1) as fleet:
            fake.script(plan)
            reply = await asked(fleet)
            await until(lambda: fake.calls)
            if plan.after == 3:
                await reply.began()
            waiting = asyncio.create_task(said(fleet))
            await asyncio.sleep(0.01)
            reply.close()
            assert isinstance(reply.outcome, Cancelled)
            assert await waiting == ANSWER
            await until(lambda: fake.left == 1)

    asyncio.run(ask())


def test_who_leaves_before_the_call_began_frees_the_place(fake: FakeOpenAI) -> None:
    async def ask() -> None:
        async with served(fake, max_concurrency=2) as fleet:
            for _ in range(3):
                replies = [await asked(fleet) for _ in range(3)]
                for reply in replies:
                    reply.close()
            assert await asyncio.wait_for(said(fleet), 10) == ANSWER
            assert deployment(fleet).idle
            began = await asked(fleet)
            began.close()
            await asyncio.wait_for(fleet.drain(10), 5)
            assert len(fake.calls) == 1

    asyncio.run(ask())


def test_the_line_is_bounded(fake: FakeOpenAI) -> None:
    async def ask() -> None:
        async with served(fake, max_concurrency=2, queue_size=3) as fleet:
            fake.plan = Plan(wait_s=0.05)
            replies = [await asked(fleet) for _ in range(5)]
            with pytest.raises(Overloaded):
                await asked(fleet)
            model = deployment(fleet)
            assert (model.load, model.gauges()["queue_depth"], model.gauges()["in_flight"]) == (2.5, 3, 2)
            replies[2].close()
            for reply in (replies[0], replies[1], replies[3], replies[4]):
                assert not isinstance((await events(reply))[-1], Exception)
            assert len(fake.calls) == 4
            await until(lambda: model.load == 0)
            assert replies[4].meta.queue_s > 0

    asyncio.run(ask())


def test_waiting_has_an_end(fake: FakeOpenAI) -> None:
    async def ask() -> None:
        async with served(fake, max_concurrency=1) as fleet:
            fake.script(plans.mute())
            first = await asked(fleet)
            *_, error = await events(await asked(fleet, deadline=system_clock() + 0.05))
            assert isinstance(error, DeadlineExceeded)
            assert "waited" in error.message
            first.close()
            assert await said(fleet) == ANSWER

    asyncio.run(ask())


def test_tenants_share_fairly(fake: FakeOpenAI) -> None:
    order: list[str] = []

    async def one(fleet: Any, tenant: str) -> None:
        await said(fleet, tenant=tenant)
        order.append(tenant)

    async def ask() -> None:
        async with served(fake, max_concurrency=1) as fleet:
            fake.plan = Plan(wait_s=0.01)
            many = [asyncio.create_task(one(fleet, "loud")) for _ in range(8)]
            await asyncio.sleep(0)
            few = [asyncio.create_task(one(fleet, "quiet")) for _ in range(2)]
            await asyncio.gather(*many, *few)

    asyncio.run(ask())
    assert max(place for place, tenant in enumerate(order) if tenant == "quiet") <= 5


def test_draining_finishes_what_was_accepted(fake: FakeOpenAI) -> None:
    async def ask() -> None:
        async with served(fake, max_concurrency=1) as fleet:
            fake.plan = Plan(wait_s=0.05)
            replies = [await asked(fleet) for _ in range(3)]
            draining = asyncio.create_task(fleet.drain(10))
            await until(lambda: deployment(fleet).draining)
            with pytest.raises(Draining):
                await asked(fleet)
            assert [type((await events(reply))[-1]).__name__ for reply in replies] == ["Stopped"] * 3
            await draining
            await until(lambda: not fake._open)

    asyncio.run(ask())


def test_what_does_not_finish_in_time_is_told_why(fake: FakeOpenAI) -> None:
    async def ask() -> None:
        async with served(fake, max_concurrency=1) as fleet:
            fake.plan = plans.mute()
            replies = [await asked(fleet) for _ in range(3)]
            await fleet.drain(0.05)
            for reply in replies:
                assert isinstance(reply.outcome, Unavailable)
                assert "stopping" in reply.outcome.message

    asyncio.run(ask())


def test_unloading_and_loading(fake: FakeOpenAI) -> None:
    async def ask() -> None:
        async with served(fake) as fleet:
            await fleet.unload("m")
            assert fleet.find("m").state is State.UNLOADED
            with pytest.raises(Unavailable, match="load loads it again"):
                await asked(fleet)
            await fleet.load("m")
            assert await said(fleet) == ANSWER

    asyncio.run(ask())


def test_a_key_that_is_gone_when_it_is_loaded(fake: FakeOpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask() -> None:
        async with served(fake, key="env:GONE_KEY") as fleet:
            model = fleet.find("m")
            assert model.state is State.FAILED
            assert "GONE_KEY is not set" in model.reason
            with pytest.raises(Unavailable):
                await asked(fleet)

    asyncio.run(ask())


# --- what is no call


def test_counting_by_estimate(fake: FakeOpenAI) -> None:
    async def ask() -> None:
        async with served(fake) as fleet:
            started, *_ = await events(await asked(fleet, Generation(messages=HI.messages, count_only=True)))
            assert 4 <= started.prompt_tokens <= 12
            with pytest.raises(NotOffered):
                await asked(fleet, Generation(prompt=(1, 2), count_only=True, echo=True))
            assert fake.calls == []

    asyncio.run(ask())


def test_counting_where_the_provider_has_a_call_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)

    async def ask(cloud: FakeAnthropic) -> None:
        async with served(cloud, "anthropic") as fleet:
            started, *_ = await events(await asked(fleet, Generation(messages=HI.messages, count_only=True)))
            assert started.prompt_tokens == 3
            assert deployment(fleet).generation.prompt_tokens == 0

    with FakeAnthropic(key=KEY) as cloud:
        asyncio.run(ask(cloud))


def test_requests_that_are_none_for_it(fake: FakeOpenAI) -> None:
    async def ask() -> None:
        async with served(fake) as fleet:
            wrong: list[Any] = [{}, Generation(messages=HI.messages, adapter="x")]
            wrong.append(Generation(messages=HI.messages, sampling=Sampling(top_k=5)))
            for payload in wrong:
                with pytest.raises(BadInput):
                    await asked(fleet, payload)
            assert deployment(fleet).recorder.errors.total() == 3

    asyncio.run(ask())


def test_a_reader_that_is_slower_than_the_model(fake: FakeOpenAI) -> None:
    fake.said = Said("word " * 70_000)

    async def ask() -> None:
        async with served(fake) as fleet:
            reply = await asked(fleet)
            await until(lambda: reply.done, 60)
            assert isinstance(reply.outcome, PenstockError)
            assert reply.outcome.code == "slow_client"
            fake.said = Said()
            assert await said(fleet) == ANSWER

    asyncio.run(ask())


def test_the_settings_that_are_shown_hold_no_key_and_no_address(fake: FakeOpenAI) -> None:
    async def ask() -> None:
        async with served(fake, key="env:OPENAI_API_KEY", headers={"x-team": "blue"}) as fleet:
            shown = str(deployment(fleet).config())
            assert "gpt-5-mini" in shown
            for secret in (KEY, "OPENAI_API_KEY", "127.0.0.1", "blue"):
                assert secret not in shown

    asyncio.run(ask())


def test_many_at_once_each_get_their_own(fake: FakeOpenAI) -> None:
    async def one(fleet: Any, number: int) -> None:
        asked_for = Generation(messages=(Message("user", f"number {number}"),))
        assert await said(fleet, asked_for) == f"You said: number {number}"

    async def ask() -> None:
        async with served(fake, max_concurrency=20) as fleet:
            await asyncio.gather(*(one(fleet, number) for number in range(200)))
            assert fake.connections <= 20

    asyncio.run(ask())
