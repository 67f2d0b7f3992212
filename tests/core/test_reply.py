"""A reply ends exactly once, frees what it holds when given up, and streams what comes before."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from penstock.core.errors import Cancelled, Internal, ModelFailed, SlowClient
from penstock.core.reply import UNREAD, Meta, Reply
from penstock.core.tensors import Tensor, Tensors

RESULT: Tensors = {"y": Tensor.of([1])}


class Freed:
    """Counts how often a reply's place was freed."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> None:
        self.times += 1


def reply(freed: Freed | None = None) -> Reply:
    return Reply(Meta("m", "1"), freed)


async def awaited(it: Reply) -> Tensors:
    return await it


def driven(it: Reply) -> Coroutine[Any, Any, Tensors]:
    """A coroutine that waits for the reply, driven as the server drives an exchange: without a task."""
    waiting = awaited(it)
    assert waiting.send(None) is it
    return waiting


def test_the_first_end_stands() -> None:
    it, error = reply(), ModelFailed("no")
    assert not it.done
    assert it.settle(RESULT)
    assert it.done
    assert not it.settle(error)
    assert it.tensors() is RESULT


def test_an_error_is_raised() -> None:
    it = reply()
    it.settle(error := ModelFailed("no"))
    with pytest.raises(ModelFailed) as raised:
        it.tensors()
    assert raised.value is error


def test_there_is_no_result_before_the_end() -> None:
    with pytest.raises(RuntimeError):
        reply().tensors()


def test_closing_frees_once_and_ends_as_cancelled() -> None:
    it = reply(freed := Freed())
    it.close()
    it.close()
    assert freed.times == 1
    assert isinstance(it.outcome, Cancelled)
    assert not it.settle(RESULT)


def test_closing_after_the_end_frees_nothing_and_changes_nothing() -> None:
    it = reply(freed := Freed())
    it.settle(RESULT)
    it.close()
    assert freed.times == 0
    assert it.tensors() is RESULT


def test_whoever_is_told_to_free_its_place_finds_why_and_cannot_change_it() -> None:
    found: list[object] = []
    it: Reply

    def freed() -> None:
        found.append(it.outcome)
        it.settle(Internal("by the scheduler"))

    it = Reply(Meta(), freed)
    it.close()
    assert found == [it.outcome]
    assert isinstance(it.outcome, Cancelled)


def test_a_reader_that_falls_behind_is_told_so() -> None:
    it: Reply
    it = Reply(Meta(), lambda: (it.settle(Cancelled("by the scheduler")), None)[1])
    for number in range(UNREAD + 2):
        it.emit(number)
    assert isinstance(it.outcome, SlowClient)


def test_closing_an_open_reply_without_a_place() -> None:
    it = reply()
    it.close()
    assert isinstance(it.outcome, Cancelled)


def test_callbacks_come_once_and_at_once_when_late() -> None:
    it, calls = reply(), []
    for name in "abc":
        it.add_done_callback(lambda same, name=name: calls.append((name, same)))
    it.add_end_callback(lambda same: calls.append(("end", same)))
    it.settle(RESULT)
    assert calls == [("end", it), ("a", it), ("b", it), ("c", it)]
    it.settle(RESULT)
    it.add_done_callback(lambda _: calls.append(("late", it)))
    it.add_end_callback(lambda _: calls.append(("later", it)))
    assert calls[4:] == [("late", it), ("later", it)]


def test_an_event_calls_back_once_and_the_end_only_its_own() -> None:
    it, calls = reply(), []
    it.add_done_callback(lambda _: calls.append("next"))
    it.add_end_callback(lambda _: calls.append("end"))
    it.emit("one")
    it.emit("two")
    assert calls == ["next"]
    it.settle(RESULT)
    assert calls == ["next", "end"]


def test_awaiting_needs_no_task() -> None:
    it = reply()
    waiting = driven(it)
    it.settle(RESULT)
    with pytest.raises(StopIteration) as ended:
        waiting.send(None)
    assert ended.value.value is RESULT


def test_awaiting_an_ended_reply_does_not_wait() -> None:
    it = reply()
    it.settle(RESULT)
    with pytest.raises(StopIteration) as ended:
        awaited(it).send(None)
    assert ended.value.value is RESULT


def test_an_abandoned_await_closes() -> None:
    it = reply(freed := Freed())
    driven(it).close()
    assert freed.times == 1
    assert isinstance(it.outcome, Cancelled)


def test_an_interrupted_await_closes() -> None:
    it = reply(freed := Freed())
    with pytest.raises(KeyboardInterrupt):
        driven(it).throw(KeyboardInterrupt())
    assert freed.times == 1


def test_a_result_from_a_task() -> None:
    async def story() -> Tensors:
        it = reply()
        waiting = asyncio.ensure_future(it.result())
        await asyncio.sleep(0)
        it.emit("not yet")
        await asyncio.sleep(0)
        assert not waiting.done()
        it.settle(RESULT)
        return await waiting

    assert asyncio.run(story()) is RESULT


def test_a_cancelled_task_closes() -> None:
    async def story() -> tuple[Reply, Freed]:
        it = reply(freed := Freed())
        waiting = asyncio.ensure_future(it.result())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        return it, freed

    it, freed = asyncio.run(story())
    assert freed.times == 1
    assert isinstance(it.outcome, Cancelled)


def test_events_stream_in_order_until_the_end() -> None:
    async def story() -> list[Any]:
        it = reply()
        it.emit("early")

        async def tell() -> None:
            for event in ("a", "b"):
                await asyncio.sleep(0)
                it.emit(event)
            it.emit("c")
            it.settle(RESULT)
            it.emit("too late")

        telling = asyncio.ensure_future(tell())
        events = [event async for event in it]
        await telling
        return events

    assert asyncio.run(story()) == ["early", "a", "b", "c"]


def test_an_error_ends_a_stream_after_its_events() -> None:
    async def story() -> list[Any]:
        it, events = reply(), []
        it.emit("a")
        it.settle(ModelFailed("no"))
        stream = aiter(it)
        events.append(await anext(stream))
        with pytest.raises(ModelFailed):
            await anext(stream)
        return events

    assert asyncio.run(story()) == ["a"]


def test_leaving_a_stream_closes() -> None:
    async def story() -> tuple[Reply, Freed]:
        it = reply(freed := Freed())
        it.emit("a")
        stream = aiter(it)
        assert await anext(stream) == "a"
        await stream.aclose()  # type: ignore[attr-defined]
        return it, freed

    it, freed = asyncio.run(story())
    assert freed.times == 1
    assert it.done


def test_events_may_be_taken_by_whoever_is_called_back() -> None:
    reply, got = Reply(Meta()), []

    def take(_: Reply) -> None:
        got.extend(reply.take())
        reply.add_done_callback(take) if not reply.done else None

    reply.add_done_callback(take)
    for number in range(UNREAD + 3):
        reply.emit(number)
    assert len(got) == UNREAD + 3
    assert not reply.done


def test_what_an_answer_took_is_known_when_the_end_of_one_that_was_given_up_is_told() -> None:
    def stop() -> None:
        assert reply.outcome is not None
        assert not reply.settle({})
        reply.meta.busy_s = 1.5

    reply = Reply(Meta(), stop)
    heard: list[float] = []
    reply.add_end_callback(lambda ended: heard.append(ended.meta.busy_s))
    reply.close()
    reply.close()
    assert heard == [1.5]
