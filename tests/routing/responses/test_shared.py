"""Answers that several servers share through a real Redis: they help where they can, and never harm."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

from penstock.core.clock import StillClock
from penstock.core.errors import ConfigError, NotCached, Unavailable
from penstock.protocols.http.drive import Drive
from penstock.routing.responses.shared import PENDING, PREFIX, Shared
from tests.routing.responses.world import AtOnce, Computing, Route, asks, question, rows, said, turn
from tests.services import Redis, running_redis

SOON_S = 1.0
"""Ten times what a request waits for Redis, and more."""


Scenario = Callable[[], Any]
_open: list[Shared] = []


def opened(url: str, *more: Any) -> Shared:
    """Answers in that Redis, until the scenario ends."""
    _open.append(Shared(url, *more))
    return _open[-1]


def run(scenario: Scenario) -> None:
    """Runs a scenario, and closes what it opened."""

    async def whole() -> None:
        try:
            await scenario()
        finally:
            while _open:
                await _open.pop().stop()

    asyncio.run(whole())


def test_what_one_server_was_told_another_knows(redis_server: Redis) -> None:
    async def scenario() -> None:
        shared = [opened(redis_server.url) for _ in range(2)]
        here, there = (Route(shared=each) for each in shared)
        await here.ask()
        await here.ask(asks(rows(1)))
        await shared[0].settled()
        there.wall.advance(20)
        reply = await there.ask()
        assert (said(reply), reply.meta.cache, reply.meta.age_s) == ("Here 1", "hit", pytest.approx(20))
        assert (await there.ask(asks(rows(1)))).tensors()["y"].array.tolist() == [[4]]
        assert len(there.computing) == 0
        assert (there.cache.counts.hits, there.cache.counts.misses) == (2, 0)
        there.advance(10)
        again = await there.ask()
        assert again.meta.age_s == pytest.approx(30), "it is kept here, too, as old as it is"

    run(scenario)


def test_tenants_do_not_share_there_either(redis_server: Redis) -> None:
    async def scenario() -> None:
        shared = opened(redis_server.url)
        here, there = Route(shared=shared), Route(shared=shared)
        await here.ask(asks(tenant="ours"))
        await shared.settled()
        assert (await there.ask(asks(tenant="theirs"))).meta.cache == "miss"
        assert (await there.ask(asks(tenant="ours"))).meta.cache == "hit"

    run(scenario)


def test_an_answer_to_another_key_is_never_given(redis_server: Redis) -> None:
    """Whoever mixes up Redis's replies, or writes into it, gives nobody the answer of somebody else."""

    async def scenario() -> None:
        shared = opened(redis_server.url)
        here, there = Route(shared=shared), Route(shared=shared)
        await here.ask(asks(tenant="theirs"))
        await shared.settled()
        theirs, ours = here.cache.key(asks(tenant="theirs")), here.cache.key(asks(tenant="ours"))
        assert theirs is not None
        assert ours is not None
        found = await shared.find(theirs)
        assert found is not None
        shared.keep(ours, found, 60)
        await shared.settled()
        assert (await there.ask(asks(tenant="ours"))).meta.cache == "miss"

    run(scenario)


def test_damaged_answers_are_none(redis_server: Redis) -> None:
    async def scenario() -> None:
        shared = opened(redis_server.url)
        key = Route().cache.key(asks())
        assert key is not None
        for data in (b"", b"nonsense", b"PSA1" + key, b"PSA1" + key + b"\xc1", b"PSA1" + key + b"\x93\x00\xa0\xa0"):
            shared.keep(key, data, 60)
            await shared.settled()
            assert (await Route(shared=shared).ask()).meta.cache == "miss"
            await shared.settled()
        redis_server.clear()
        redis_server.tell("LPUSH", (PREFIX + key.hex().encode()).decode(), "of another type")
        assert (await Route(shared=shared).ask()).meta.cache == "miss"

    run(scenario)


def test_answers_leave_by_themselves(redis_server: Redis) -> None:
    async def scenario() -> None:
        shared = opened(redis_server.url)
        await Route({"ttl_s": 60}, shared=shared).ask()
        stale = Route({"ttl_s": 60, "stale_s": 600}, shared=shared, fallback=("cached",))
        await stale.ask()
        await shared.settled()
        times = []
        for route in (Route(), Route(fallback=("cached",))):
            key = route.cache.key(asks())
            assert key is not None
            times.append(int(redis_server.tell("TTL", (PREFIX + key.hex().encode()).decode())[1:]))
        assert 55 <= times[0] <= 60
        assert 655 <= times[1] <= 660

    run(scenario)


def test_wishes_hold_there_too(redis_server: Redis) -> None:
    async def scenario() -> None:
        shared = opened(redis_server.url)
        await Route(shared=shared, fallback=("cached",)).ask()
        await shared.settled()

        def elsewhere(age: float) -> Route:
            route = Route({"ttl_s": 3600}, shared=shared, fallback=("cached",))
            route.wall.advance(age)
            return route

        assert (await elsewhere(5).ask(cached_only=True)).meta.cache == "hit"
        assert (await elsewhere(5).ask(no_store=True)).meta.cache == "hit"
        assert (await elsewhere(5).ask(max_age_s=10.0)).meta.cache == "hit"
        assert (await elsewhere(4000).cache.stale(asks())).meta.age_s == pytest.approx(4000)
        assert (await elsewhere(-50).ask()).meta.age_s == 0, "clocks differ"
        with pytest.raises(NotCached):
            await elsewhere(20).ask(cached_only=True, max_age_s=10.0)
        with pytest.raises(Unavailable):
            await elsewhere(20).cache.stale(asks(question("Another?")))
        assert (await elsewhere(20).ask(max_age_s=10.0)).meta.cache == "miss"

    run(scenario)


def test_one_look_for_all_who_ask_the_same_meanwhile(redis_server: Redis) -> None:
    async def scenario() -> None:
        shared = opened(redis_server.url)
        await Route(shared=shared).ask()
        await shared.settled()
        before = calls(redis_server)
        route, ends = Route(shared=shared), []
        for _ in range(5):
            Drive(ended(route), ends.append)
        await asyncio.sleep(SOON_S / 2)
        assert ends == ["Here 1"] * 5
        assert calls(redis_server) - before == 1

    run(scenario)


async def ended(route: Route) -> str:
    reply = await route.ask()
    await reply.began()
    while not reply.done:
        await reply.news()
    return said(reply)


def calls(redis: Redis) -> int:
    """How often it was asked for a value."""
    lines = redis.tell("INFO", "commandstats").split(b"\r\n")
    line = next((line for line in lines if line.startswith(b"cmdstat_get:")), b"calls=0,")
    return int(line.partition(b"calls=")[2].partition(b",")[0])


def test_while_redis_is_away_nothing_fails_and_nobody_waits(capsys: pytest.CaptureFixture[str]) -> None:
    with running_redis() as redis:

        async def scenario() -> None:
            clock = StillClock()
            shared = opened(redis.url, clock)
            route = Route(shared=shared)
            await route.ask()
            redis.stop()
            for number in range(20):
                began = time.monotonic()
                assert (await route.ask(asks(question(str(number))))).meta.cache == "miss"
                assert time.monotonic() - began < SOON_S
                await shared.settled()
            assert shared.away
            assert (await route.ask()).meta.cache == "hit", "what is known here is known"
            redis.start()
            clock.advance(1.1)
            await route.ask(asks(question("back?")))
            await shared.settled()
            assert not shared.away
            other = Route(shared=shared)
            assert (await other.ask(asks(question("back?")))).meta.cache == "hit"

        run(scenario)
    log = capsys.readouterr().err
    assert (log.count("shared_answers_away"), log.count("shared_answers_back")) == (1, 1)
    assert str(redis.port) not in log


def test_a_redis_that_hangs_costs_a_moment_each_time_and_then_nothing() -> None:
    with running_redis() as redis:

        async def scenario() -> None:
            clock = StillClock()
            shared = opened(redis.url, clock)
            route = Route(shared=shared)
            await route.ask()
            await shared.settled()
            process = redis._process
            assert process is not None
            os.kill(process.pid, signal.SIGSTOP)
            try:
                for number in range(10):
                    began = time.monotonic()
                    assert (await route.ask(asks(question(str(number))))).meta.cache == "miss"
                    assert time.monotonic() - began < SOON_S
                await asyncio.sleep(0.3)
                assert shared.away
                began = time.monotonic()
                for number in range(100):
                    await route.ask(asks(question(f"more {number}")))
                assert time.monotonic() - began < SOON_S
            finally:
                os.kill(process.pid, signal.SIGCONT)
            clock.advance(1.1)
            await route.ask(asks(question("back?")))
            await shared.settled()
            assert not shared.away
            for number in range(10):
                other = Route(shared=shared)
                assert said(await other.ask(asks(question(f"after {number}")))) == "Here 1", "never another's answer"
                await shared.settled()
                assert said(
                    await Route(shared=shared, computing=AtOnce("large")).ask(asks(question(f"after {number}")))
                )

        run(scenario)


def test_somebody_else_who_listens_there_is_no_redis() -> None:
    async def scenario() -> None:
        async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(100)
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n<html>")
            writer.close()

        server = await asyncio.start_server(babble, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        shared = opened(f"redis://127.0.0.1:{port}/0")
        route = Route(shared=shared)
        for number in range(5):
            assert (await route.ask(asks(question(str(number))))).meta.cache == "miss"
            await shared.settled()
        assert shared.away
        server.close()
        await server.wait_closed()

    run(scenario)


def test_calls_at_once_are_bounded() -> None:
    """Nobody accepts the connections: every call hangs."""
    with socket.create_server(("127.0.0.1", 0), backlog=1) as deaf:

        async def scenario() -> None:
            shared = opened(f"redis://127.0.0.1:{deaf.getsockname()[1]}/0")
            for number in range(3 * PENDING):
                shared.keep(number.to_bytes(32, "big"), b"x", 60)
            assert len(shared._tasks) <= PENDING
            began = time.monotonic()
            assert await shared.find(bytes(32)) is None
            assert time.monotonic() - began < SOON_S

        run(scenario)


def test_who_leaves_while_redis_is_asked_harms_nobody(redis_server: Redis) -> None:
    async def scenario() -> None:
        shared = opened(redis_server.url)
        route = Route(shared=shared, computing=Computing())
        first = Drive(route.ask(), lambda _: None)
        second = await asyncio.wait_for(route.ask(), 5)
        first.close()
        await turn()
        await shared.settled()
        await turn()
        route.computing.say("a")
        assert said(second) == "a"

    run(scenario)


@pytest.mark.parametrize("url", ["localhost:6379", "http://user:secret@localhost", "redis://:secret@localhost:port/0"])
def test_a_wrong_address_says_what_would_be_right_and_no_password(url: str) -> None:
    with pytest.raises(ConfigError, match="redis://localhost:6379/0") as caught:
        Shared(url)
    assert "secret" not in str(caught.value)


def test_a_password_is_in_no_log(redis_server: Redis, capsys: pytest.CaptureFixture[str]) -> None:
    async def scenario() -> None:
        shared = opened(redis_server.url.replace("redis://", "redis://:sesame@"))
        route = Route(shared=shared)
        for number in range(5):
            await route.ask(asks(question(str(number))))
            await shared.settled()
        assert shared.away

    run(scenario)
    log = capsys.readouterr().err
    assert "shared_answers_away" in log
    assert "sesame" not in log
