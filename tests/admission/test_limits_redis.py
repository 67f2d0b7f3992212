"""Limits that servers share through a real Redis, and what they do while it is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from penstock.admission.accounts import Accounts
from penstock.admission.limits import wire
from penstock.admission.limits.shared import SharedLimits
from penstock.admission.settings import TenantSettings
from penstock.core.errors import BudgetSpent, ConfigError, ModelFailed, QuotaExceeded, TooLarge
from penstock.core.generation import Usage
from penstock.core.reply import Reply
from penstock.protocols.http.drive import Drive
from tests.admission.accounting import Book, Downstream, per_token, question
from tests.services import Redis, running_redis


@asynccontextmanager
async def server(
    url: str, settings: TenantSettings, expect: Callable[[str, float, float], float] | None = None
) -> AsyncIterator[Accounts]:
    """One server's accounts."""
    shared = SharedLimits(url)
    accounts = Accounts(Downstream(), {"*": settings}, per_token, Book(), shared=shared, expect=expect)
    await accounts.start()
    try:
        yield accounts
    finally:
        await accounts.stop()


async def asked(accounts: Accounts, text: str = "hello", **sampling: object) -> Reply:
    """Asks as the HTTP server does: without a task."""
    ended: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    Drive(accounts(question(text, **sampling)), ended.set_result)
    outcome = await asyncio.wait_for(ended, 10)
    if isinstance(outcome, BaseException):
        raise outcome
    assert isinstance(outcome, Reply)
    return outcome


def ended(reply: Reply, tokens: int) -> None:
    reply.meta.usage = Usage(tokens)
    reply.settle({})


def left(reply: Reply, name: str) -> float:
    return next(quota.remaining for quota in reply.meta.quotas if quota.name == name)


def test_servers_share_a_rate(redis_server: Redis) -> None:
    settings = TenantSettings(requests_per_minute=6, burst_s=30)

    async def both() -> None:
        async with server(redis_server.url, settings) as one, server(redis_server.url, settings) as other:
            await asked(one)
            reply = await asked(other)
            assert left(reply, "requests") == pytest.approx(1, abs=0.1)
            await asked(one)
            with pytest.raises(QuotaExceeded) as refusal:
                await asked(other)
            assert 8 <= (refusal.value.retry_after_s or 0) <= 10

    asyncio.run(both())


def test_many_at_once_get_exactly_what_there_is(redis_server: Redis) -> None:
    settings = TenantSettings(requests_per_minute=50, burst_s=60)

    async def flood() -> int:
        async with server(redis_server.url, settings) as one, server(redis_server.url, settings) as other:
            asks: list[Awaitable[Reply]] = [asked(which) for which in (one, other) for _ in range(100)]
            answers = await asyncio.gather(*asks, return_exceptions=True)
            assert all(isinstance(answer, Reply | QuotaExceeded) for answer in answers)
            return sum(isinstance(answer, Reply) for answer in answers)

    assert 50 <= asyncio.run(flood()) <= 60


def test_tokens_are_corrected_for_everybody(redis_server: Redis) -> None:
    settings = TenantSettings(tokens_per_minute=6000)

    async def both() -> None:
        async with server(redis_server.url, settings) as one, server(redis_server.url, settings) as other:
            first = await asked(one, "x" * 5000, max_tokens=100)
            ended(first, 10)
            await asyncio.sleep(0.2)
            reply = await asked(other, max_tokens=1)
            assert left(reply, "tokens") == pytest.approx(5984, abs=60)
            ended(reply, 12_000)
            with pytest.raises(QuotaExceeded):
                await asked(one, max_tokens=1)
            with pytest.raises(TooLarge):
                await asked(one, "x" * 100_000)

    asyncio.run(both())


def test_servers_share_a_budget_and_it_outlives_them(redis_server: Redis) -> None:
    settings = TenantSettings(budget_per_day=1.0, budget_per_month=100.0)

    async def through() -> None:
        async with server(redis_server.url, settings) as one, server(redis_server.url, settings) as other:
            ended(await asked(one), 400)
            ended(await asked(other), 700)
            with pytest.raises(BudgetSpent, match="this day") as refusal:
                await asked(one)
            assert (refusal.value.retry_after_s or 0) <= 86_400
        async with server(redis_server.url, settings) as late:
            with pytest.raises(BudgetSpent):
                await asked(late)

    asyncio.run(through())


def test_what_is_refused_takes_nothing_anywhere(redis_server: Redis) -> None:
    settings = TenantSettings(requests_per_minute=1000, concurrency=1, tokens_per_minute=100)

    async def through() -> None:
        async with server(redis_server.url, settings) as one:
            ended(await asked(one, max_tokens=1), 1000)
            for _ in range(20):
                with pytest.raises(QuotaExceeded, match="tokens per minute"):
                    await asked(one, max_tokens=1)
            quotas = {quota.name: quota for _, _, quota in one.quotas()}
            assert quotas["requests"].remaining >= 998
            assert quotas["concurrency"].remaining == 1

    asyncio.run(through())


def test_without_redis_each_server_keeps_to_its_own_limits(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(wire, "PAUSE_S", 0.2)
    settings = TenantSettings(requests_per_minute=1, burst_s=240, budget_per_day=1.0)
    with running_redis() as service:

        async def through() -> None:
            async with server(service.url, settings) as one, server(service.url, settings) as other:
                ended(await asked(one), 10)
                service.stop()
                ended(await asked(one), 300)
                ended(await asked(one), 10)
                ended(await asked(one), 10)
                with pytest.raises(QuotaExceeded, match="1 requests per minute"):
                    await asked(one)
                await asyncio.to_thread(service.start)
                await asyncio.sleep(0.3)
                ended(await asked(one), 200)
                ended(await asked(other), 0)
                await asyncio.sleep(0.3)
                reply = await asked(other)
                assert left(reply, "budget-day") == pytest.approx(1 - 0.53, abs=0.01), "what was owed was told"

        asyncio.run(through())
    said = capsys.readouterr().err
    assert said.count("redis_away") == 2, "each server says it once"
    assert said.count("redis_back") == 2


def test_a_redis_that_was_never_there_does_not_keep_a_server_from_starting(capsys: pytest.CaptureFixture[str]) -> None:
    async def through() -> None:
        async with server("redis://127.0.0.1:1/0", TenantSettings(concurrency=1)) as alone:
            reply = await asked(alone)
            with pytest.raises(QuotaExceeded):
                await asked(alone)
            reply.close()
            await asked(alone)

    asyncio.run(through())
    assert capsys.readouterr().err.count("redis_away") == 1


def test_what_is_no_url_is_refused() -> None:
    async def through() -> None:
        await SharedLimits("postgresql://secret@host/0").start()

    with pytest.raises(ConfigError, match="redis://host:6379/0") as refusal:
        asyncio.run(through())
    assert "secret" not in str(refusal.value)


def test_a_client_that_leaves_while_redis_is_asked_holds_no_place(redis_server: Redis) -> None:
    async def through() -> None:
        async with server(redis_server.url, TenantSettings(concurrency=1, requests_per_minute=100)) as one:
            drive = Drive(one(question()), lambda _: None)
            drive.close()
            ended(await asked(one), 1)

    asyncio.run(through())


def test_who_leaves_while_redis_is_asked_pays_nothing_back_that_was_not_taken(redis_server: Redis) -> None:
    settings = TenantSettings(tokens_per_minute=1000, cost_per_minute=100)

    async def through() -> None:
        async with server(redis_server.url, settings) as one, server(redis_server.url, settings) as other:
            ended(await asked(one, "x" * 1000, max_tokens=100), 4000)
            for number in range(40):
                if number % 2:
                    drive = Drive(one(question("x" * 2500, max_tokens=200)), lambda _: None)
                    await asyncio.sleep(0)
                    drive.close()
                else:
                    task = asyncio.ensure_future(one(question("x" * 2500, max_tokens=200)))
                    await asyncio.sleep(0)
                    task.cancel()
                await asyncio.sleep(0.005)
            await asyncio.sleep(0.2)
            with pytest.raises(QuotaExceeded) as refusal:
                await asked(other, max_tokens=1)
            assert (refusal.value.retry_after_s or 0) > 150, "the debt stands"

    asyncio.run(through())


def test_who_leaves_while_redis_is_asked_gets_back_what_was_taken(redis_server: Redis) -> None:
    settings = TenantSettings(tokens_per_minute=6000)

    async def through() -> None:
        async with server(redis_server.url, settings) as one, server(redis_server.url, settings) as other:
            for _ in range(5):
                drive = Drive(one(question("x" * 10_000, max_tokens=200)), lambda _: None)
                await asyncio.sleep(0)
                drive.close()
                await asyncio.sleep(0.05)
            reply = await asked(other, max_tokens=1)
            assert left(reply, "tokens") == pytest.approx(5990, abs=100)

    asyncio.run(through())


def test_what_redis_never_took_is_not_given_back_to_it(redis_server: Redis) -> None:
    settings = TenantSettings(tokens_per_minute=1000)

    async def through() -> None:
        async with server(redis_server.url, settings) as one, server(redis_server.url, settings) as other:
            ended(await asked(other, max_tokens=1), 3000)
            await asyncio.sleep(0.1)
            wire = one.limits._shared._wire  # type: ignore[union-attr]
            wire._away, wire._again_at = True, float("inf")
            alone = await asked(one, "x" * 2000, max_tokens=300)
            wire._away = False
            alone.settle(ModelFailed("no"))
            await asyncio.sleep(0.1)
            with pytest.raises(QuotaExceeded) as refusal:
                await asked(other, max_tokens=1)
            assert (refusal.value.retry_after_s or 0) > 100

    asyncio.run(through())


def test_what_is_under_way_counts_while_nothing_was_spent(redis_server: Redis) -> None:
    settings = TenantSettings(budget_per_day=1.0)

    async def through() -> None:
        async with server(redis_server.url, settings, lambda *_: 0.3) as one:
            replies = [await asked(one) for _ in range(3)]
            with pytest.raises(QuotaExceeded) as refusal:
                await asked(one)
            assert (refusal.value.code, refusal.value.retry_after_s) == ("quota_exceeded", 1)
            ended(replies[0], 400)
            ended(replies[1], 700)
            await asyncio.sleep(0.1)
            with pytest.raises(BudgetSpent):
                await asked(one)

    asyncio.run(through())


def test_a_list_comes_in_as_one(redis_server: Redis) -> None:
    settings = TenantSettings(requests_per_minute=10, tokens_per_minute=6000)

    async def through() -> None:
        async with server(redis_server.url, settings) as one, server(redis_server.url, settings) as other:
            replies = await one.all([question("x" * 1000)] * 8)
            with pytest.raises(QuotaExceeded, match="10 requests per minute"):
                await other.all([question()] * 3)
            for reply in replies:
                ended(reply, 100)
            await asyncio.sleep(0.1)
            assert left(await asked(other, max_tokens=1), "tokens") == pytest.approx(5190, abs=60)

    asyncio.run(through())


def test_scripts_are_sent_again_when_redis_has_forgotten_them(redis_server: Redis) -> None:
    async def through() -> None:
        async with server(redis_server.url, TenantSettings(requests_per_minute=100)) as one:
            await asked(one)
            assert redis_server.tell("SCRIPT", "FLUSH") == b"+OK\r\n"
            reply = await asked(one)
            assert left(reply, "requests") == pytest.approx(98, abs=0.5)

    asyncio.run(through())
