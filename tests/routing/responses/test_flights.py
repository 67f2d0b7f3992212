"""One computation for all who ask the same meanwhile."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from penstock.core.errors import (
    BadInput,
    Cancelled,
    DeadlineExceeded,
    Internal,
    PenstockError,
    ProviderFailed,
    SlowClient,
)
from penstock.core.generation import Generated, Text, Usage
from penstock.core.reply import UNREAD, Reply
from penstock.core.request import Request
from penstock.protocols.http.drive import Drive
from tests.routing.responses.world import USAGE, Computing, Route, asks, question, said, tell, texts, turn


def run(coroutine: Any) -> Any:
    return asyncio.run(coroutine)


def test_who_asks_the_same_meanwhile_follows_live() -> None:
    async def scenario() -> None:
        route = Route(computing=Computing())
        first, second = await route.ask(), await route.ask()
        route.computing.say("a", "b", end=False)
        assert (texts(first.take()), texts(second.take())) == ("ab", "ab")
        third = await route.ask()
        assert texts(third.take()) == "ab", "who comes late gets what was said"
        route.computing.say("c")
        assert [said(reply) for reply in (first, second, third)] == ["c", "c", "c"]
        assert len(route.computing) == 1
        assert [reply.meta.cache for reply in (first, second, third)] == ["miss", "hit", "hit"]
        assert [reply.meta.busy_s for reply in (first, second, third)] == [0.5, 0.0, 0.0]
        assert [reply.meta.cost for reply in (first, second, third)] == [None, 0.0, 0.0]
        assert [reply.meta.usage for reply in (first, second, third)] == [USAGE] * 3
        assert {reply.meta.model for reply in (first, second, third)} == {"small"}
        assert route.cache.counts.shared == 2
        assert said(await route.ask()) == "abc"
        assert route.cache.under_way == 0

    run(scenario())


def test_rows_too() -> None:
    async def scenario() -> None:
        route = Route(computing=Computing())
        request = asks({})
        replies = [await route.ask(request) for _ in range(3)]
        route.computing.replies[0].settle({})
        assert [reply.tensors() for reply in replies] == [{}] * 3
        assert len(route.computing) == 1

    run(scenario())


def test_other_questions_and_other_tenants_do_not_wait_for_it() -> None:
    async def scenario() -> None:
        route = Route(computing=Computing())
        for request in (
            asks(),
            asks(question("Who?")),
            asks(tenant="theirs"),
            asks(no_cache=True),
            asks(no_store=True),
        ):
            await route.ask(request)
        assert len(route.computing) == 5

    run(scenario())


def test_the_first_may_leave() -> None:
    async def scenario() -> None:
        route = Route(computing=Computing())
        first, second, third = [await route.ask() for _ in range(3)]
        route.computing.say("a", end=False)
        first.close()
        assert route.computing.closed == 0
        route.computing.say("b")
        assert said(second) == said(third) == "ab"
        assert [second.meta.busy_s, third.meta.busy_s] == [0.5, 0.0], "the next one pays"
        assert [second.meta.cost, third.meta.cost] == [None, 0.0]
        assert said(await route.ask()) == "ab"

    run(scenario())


def test_whoever_is_the_last_to_leave_pays_for_all_that_was_said() -> None:
    async def scenario() -> None:
        route = Route(computing=Computing())
        first, second = await route.ask(), await route.ask()
        route.computing.say("a", end=False)
        inner = route.computing.replies[-1]
        inner.meta.usage = Usage(30, 0, 5000)
        first.close()
        second.close()
        assert (first.meta.cost, second.meta.cost) == (0.0, None)
        assert second.meta.usage == Usage(30, 0, 5000)

    run(scenario())


def test_what_one_who_left_was_charged_is_not_charged_to_the_next() -> None:
    async def scenario() -> None:
        route = Route(computing=Computing())
        first, second = await route.ask(), await route.ask()
        route.computing.say("a", end=False)
        first.add_end_callback(lambda reply: setattr(reply.meta, "cost", 9.0))
        first.close()
        route.computing.say("b")
        assert said(second) == "ab"
        assert (second.meta.cost, second.meta.cache) == (None, "miss")
        assert first.meta.busy_s == 0.0

    run(scenario())


def test_what_is_left_of_ones_limits_stays_ones_own() -> None:
    async def scenario() -> None:
        route = Route(computing=Computing())
        first, second = await route.ask(), await route.ask()
        for reply, quota in ((first, ("ours",)), (second, ("theirs",))):
            reply.meta.quotas = quota  # type: ignore[assignment]
        first.close()
        route.computing.say("a")
        assert (first.meta.quotas, second.meta.quotas) == (("ours",), ("theirs",))

    run(scenario())


def test_when_all_have_left_it_is_given_up() -> None:
    async def scenario() -> None:
        route = Route(computing=Computing())
        replies = [await route.ask() for _ in range(3)]
        route.computing.say("a", end=False)
        for reply in replies:
            assert route.computing.closed == 0
            reply.close()
        assert route.computing.closed == 1
        assert route.cache.under_way == 0
        assert len(route.cache.memory) == 0
        await route.ask()
        assert len(route.computing) == 2

    run(scenario())


@pytest.mark.parametrize("words", [(), ("half",)])
def test_an_error_of_the_answer_is_everybodys(words: tuple[str, ...]) -> None:
    async def scenario() -> None:
        route = Route(computing=Computing())
        replies = [await route.ask() for _ in range(3)]
        tell(route.computing.replies[0], *words, end=False)
        route.computing.replies[0].settle(ProviderFailed("it broke"))
        for reply in replies:
            assert texts(reply.take()) == "".join(words)
            with pytest.raises(ProviderFailed):
                reply.generated()
        assert len(route.computing) == 1

    run(scenario())


@pytest.mark.parametrize("error", [DeadlineExceeded("late"), Cancelled("gone")])
def test_the_others_do_not_fail_for_the_time_of_the_first(error: PenstockError) -> None:
    async def scenario() -> None:
        route = Route(computing=Computing())
        first = await route.ask(asks(deadline=101.0))
        second, third = await route.ask(), await route.ask()
        route.computing.replies[0].settle(error)
        with pytest.raises(type(error)):
            first.generated()
        await turn()
        assert len(route.computing) == 2
        assert not second.done
        route.computing.say("a")
        assert said(second) == said(third) == "a"
        assert [second.meta.cache, third.meta.cache] == ["miss", "hit"]
        assert [second.meta.busy_s, third.meta.busy_s] == [0.5, 0.0]

    run(scenario())


def test_once_words_went_out_nothing_is_asked_again() -> None:
    async def scenario() -> None:
        route = Route(computing=Computing())
        replies = [await route.ask() for _ in range(2)]
        route.computing.say("a", end=False)
        route.computing.replies[0].settle(DeadlineExceeded("late"))
        for reply in replies:
            assert texts(reply.take()) == "a"
            with pytest.raises(DeadlineExceeded):
                reply.generated()
        assert len(route.computing) == 1

    run(scenario())


def test_whoever_may_wait_longer_does_not_fail_in_the_time_of_another() -> None:
    async def scenario() -> None:
        route = Route(computing=Computing())
        first = await route.ask(asks(deadline=100.4))
        second, third, hurried = await route.ask(), await route.ask(), await route.ask(asks(deadline=100.2))
        assert len(route.computing) == 2
        tell(route.computing.replies[0], "half", end=False)
        route.computing.replies[0].settle(DeadlineExceeded("late"))
        with pytest.raises(DeadlineExceeded):
            first.generated()
        route.computing.say("whole")
        assert said(second) == said(third) == said(hurried) == "whole"
        assert [reply.meta.cache for reply in (second, third, hurried)] == ["miss", "hit", "hit"]
        assert route.cache.under_way == 0

    run(scenario())


def test_those_with_the_same_time_follow_one_another() -> None:
    async def scenario() -> None:
        route = Route(computing=Computing(), timeout_ms=60_000.0)
        for _ in range(5):
            await route.ask(asks(deadline=route.clock() + 30))
            await route.ask(asks(deadline=route.clock() + 30.001))
            route.advance(5)
        assert len(route.computing) == 1

    run(scenario())


def test_when_they_ask_again_whoever_may_wait_the_longest_begins() -> None:
    async def scenario() -> None:
        route = Route(computing=Computing())
        await route.ask()
        short, long = await route.ask(asks(deadline=101.0)), await route.ask(asks(deadline=160.0))
        route.computing.replies[0].settle(Cancelled("gone"))
        await turn()
        assert [request.deadline for request in route.computing.requests[1:]] == [160.0]
        route.computing.say("a")
        assert said(short) == said(long) == "a"

    run(scenario())


def test_answers_that_go_out_whole_do_not_hang_on_one_that_is_streamed() -> None:
    async def scenario() -> None:
        route = Route(computing=Computing())
        streamed, whole = await route.ask(), await route.ask(asks(whole=True))
        also = await route.ask(asks(whole=True))
        tell(route.computing.replies[0], "half", end=False)
        route.computing.replies[0].settle(ProviderFailed("it broke"))
        with pytest.raises(ProviderFailed):
            streamed.generated()
        tell(route.computing.replies[1], "all")
        assert said(whole) == said(also) == "all"
        assert len(route.computing) == 2
        assert (await route.ask()).meta.cache == "hit", "what is kept is one and the same"

    run(scenario())


def test_an_heir_does_not_fail_for_the_time_of_the_first() -> None:
    async def scenario() -> None:
        route = Route(computing=Computing())
        first, second = await route.ask(), await route.ask()
        first.close()
        route.computing.replies[0].settle(DeadlineExceeded("late"))
        await turn()
        route.computing.say("a")
        assert said(second) == "a"

    run(scenario())


def test_the_time_of_one_who_follows_ends() -> None:
    async def scenario() -> None:
        route = Route(computing=Computing())
        first, second = await route.ask(), await route.ask(asks(deadline=100.01))
        await asyncio.sleep(0.05)
        assert not first.done
        with pytest.raises(DeadlineExceeded, match="allow more"):
            second.generated()
        route.computing.say("a")
        assert said(first) == "a"

    run(scenario())


def test_the_time_of_the_whole_route_holds_for_who_follows() -> None:
    async def scenario() -> None:
        route = Route(computing=Computing(), timeout_ms=10.0)
        _, second = await route.ask(), await route.ask()
        await asyncio.sleep(0.05)
        assert isinstance(second.outcome, DeadlineExceeded)

    run(scenario())


class Held(Computing):
    """Takes requests only when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()

    async def __call__(self, request: Request) -> Reply:
        await self.gate.wait()
        return await super().__call__(request)


def test_the_first_may_leave_before_anything_was_asked() -> None:
    async def scenario() -> None:
        route = Route(computing=Held())
        ends: list[Any] = []
        first = Drive(route.ask(), ends.append)
        second = await route.ask()
        first.close()
        await turn()
        assert not second.done
        route.computing.gate.set()  # type: ignore[attr-defined]
        await turn()
        route.computing.say("a")
        assert said(second) == "a"
        assert len(route.computing) == 1

    run(scenario())


def test_the_next_may_leave_before_anything_was_asked_for_it() -> None:
    async def scenario() -> None:
        route = Route(computing=Held())
        first = Drive(route.ask(), lambda _: None)
        second = await route.ask()
        first.close()
        await turn()
        second.close()
        await turn()
        assert route.cache.under_way == 0
        route.computing.gate.set()  # type: ignore[attr-defined]
        await turn()
        assert len(route.computing) == 0

    run(scenario())


def test_a_refusal_is_everybodys() -> None:
    async def scenario() -> None:
        route = Route(computing=Held())
        first = asyncio.create_task(route.ask())
        await turn()
        second = await route.ask()
        route.computing.error = BadInput("no")
        route.computing.gate.set()  # type: ignore[attr-defined]
        for reply in (await first, second):
            with pytest.raises(BadInput):
                reply.generated()

    run(scenario())


def test_a_bug_fails_who_waits_and_says_nothing_of_itself() -> None:
    class Broken(Held):
        async def __call__(self, request: Request) -> Reply:
            await super().__call__(request)
            raise ZeroDivisionError("/some/path")

    async def scenario() -> None:
        route = Route(computing=Broken())
        first = asyncio.create_task(route.ask())
        await turn()
        second = await route.ask()
        route.computing.gate.set()  # type: ignore[attr-defined]
        with pytest.raises(ZeroDivisionError):
            await first
        with pytest.raises(Internal, match="the request failed"):
            second.generated()
        assert route.cache.under_way == 0

    run(scenario())


def test_one_who_reads_slowly_is_told_so_and_the_others_go_on() -> None:
    async def scenario() -> None:
        route = Route(computing=Computing())
        slow, quick = await route.ask(), await route.ask()
        heard = 0
        for _ in range(UNREAD + 10):
            route.computing.replies[0].emit(Text(0, "x", tokens=1))
            heard += len(quick.take())
        tell(route.computing.replies[0])
        assert heard == UNREAD + 10
        assert isinstance(slow.outcome, SlowClient)
        assert quick.generated()

    run(scenario())


def test_who_leaves_while_others_are_told_harms_nobody() -> None:
    async def scenario() -> None:
        route = Route(computing=Computing())
        replies = [await route.ask() for _ in range(4)]
        late: list[Any] = []
        replies[1].add_done_callback(lambda _: replies[2].close())
        replies[1].add_done_callback(lambda _: Drive(route.ask(), late.append))
        replies[0].add_end_callback(lambda _: 1 / 0)
        route.computing.say("a", "b")
        assert said(replies[1]) == said(replies[3]) == "ab"
        assert said(late[0]) == "ab"
        assert isinstance(replies[2].outcome, Cancelled)

    run(scenario())


@pytest.mark.parametrize("seed", range(200))
def test_whatever_happens_everybody_ends_once_with_the_whole_answer(seed: int) -> None:
    """Random arrivals, leavings, words and failures, under a checker that keeps its own books."""
    rng = random.Random(seed)
    ends: dict[int, int] = {}

    async def scenario() -> None:
        route = Route(computing=Computing())
        open_: dict[int, tuple[Reply, list[Any]]] = {}
        spoken: dict[int, str] = {}
        for step in range(60):
            match rng.choice(["ask", "ask", "leave", "say", "say", "end", "fail", "turn"]):
                case "ask":
                    reply = await route.ask(asks(question(rng.choice("ab")), id=str(step)))
                    reply.add_end_callback(lambda _, step=step: ends.update({step: ends.get(step, 0) + 1}))
                    open_[step] = (reply, [])
                case "leave" if open_:
                    open_[rng.choice(list(open_))][0].close()
                case "turn" | "leave":
                    await turn()
                case what:
                    going = [n for n, reply in enumerate(route.computing.replies) if not reply.done]
                    if not going:
                        continue
                    number = rng.choice(going)
                    inner = route.computing.replies[number]
                    if what == "say":
                        word = f"{number}-{step} "
                        spoken[number] = spoken.get(number, "") + word
                        inner.emit(Text(0, word, tokens=1))
                    elif what == "end":
                        inner.settle(Generated(USAGE))
                    else:
                        inner.settle(rng.choice([DeadlineExceeded("late"), ProviderFailed("broke"), Cancelled("gone")]))
            for _, (reply, heard) in open_.items():
                heard.extend(reply.take())
        await turn()
        for inner in list(route.computing.replies):
            inner.settle(Generated(USAGE))
        await turn()
        for inner in list(route.computing.replies):
            inner.settle(Generated(USAGE))
        for step, (reply, heard) in open_.items():
            heard.extend(reply.take())
            assert reply.done, step
            assert ends[step] == 1
            words = texts(heard)
            assert len({word.split("-")[0] for word in words.split()}) <= 1, "of two computations"
            if isinstance(reply.outcome, Generated) and words:
                assert words == spoken[int(words.split("-")[0])]
        assert route.cache.under_way == 0
        assert all(inner.done for inner in route.computing.replies)

    run(scenario())
