"""Streams of generated text: signs of life, clients that leave, readers that are too slow."""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from penstock.core.errors import Cancelled, ModelFailed
from penstock.core.generation import Event, Generated, Started, Stopped, Text, Usage
from penstock.core.reply import Meta, Reply
from penstock.protocols.generation import stream
from penstock.protocols.generation.answers import collect
from penstock.protocols.generation.several import Several
from penstock.protocols.generation.stream import events, sse, streamed
from penstock.protocols.http.limits import HttpLimits
from tests.protocols.openai.live import openai_doors
from tests.protocols.scripted import Live, Scripted
from tests.servers import eventually

END = Generated(Usage(3, 0, 2))


def reply_of(on_close: Callable[[], None] | None = None) -> Reply:
    return Reply(Meta("tiny", "1"), on_close)


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(coroutine, 20))


async def all_of(source: Any, idle_s: float = 15) -> list[Any]:
    return [event async for event in events(source, idle_s)]


def test_events_come_in_order_and_end_once() -> None:
    async def play() -> None:
        reply = reply_of()
        reply.emit(Started(3))
        reading = asyncio.create_task(all_of(reply))
        for text in "abc":
            reply.emit(Text(0, text))
            await asyncio.sleep(0)
        reply.emit(Stopped(0, "stop"))
        reply.settle(END)
        reply.emit(Text(0, "after the end"))
        assert await reading == [Started(3), *(Text(0, text) for text in "abc"), Stopped(0, "stop"), END]

    run(play())


def test_events_that_come_while_one_is_written_are_not_lost() -> None:
    async def play() -> None:
        reply, found = reply_of(), []
        reply.emit(Started(3))
        async for event in events(reply):
            found.append(event)
            if isinstance(event, Started):
                reply.emit(Text(0, "a"))
                reply.settle(END)
        assert found == [Started(3), Text(0, "a"), END]

    run(play())


def test_a_silent_reply_pings_and_leaves_nothing_behind() -> None:
    async def play() -> None:
        reply = reply_of()
        reading = asyncio.create_task(all_of(reply, 0.01))
        await asyncio.sleep(0.3)
        assert not isinstance(reply._callbacks, list), "callbacks pile up"
        reply.settle(END)
        found = await reading
        assert set(found[:-1]) == {None}
        assert found[-1] == END

    run(play())


def test_an_error_is_the_last_event() -> None:
    async def play() -> None:
        reply = reply_of()
        reply.emit(Started(3))
        reply.settle(ModelFailed("it broke", detail="why"))
        found = await all_of(reply)
        assert isinstance(found[-1], ModelFailed)
        with pytest.raises(ModelFailed):
            await collect(reply)

    run(play())


def test_giving_up_reading_closes_the_reply() -> None:
    async def play() -> None:
        reply = reply_of()
        reading = asyncio.create_task(all_of(reply))
        await asyncio.sleep(0.01)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        assert isinstance(reply.outcome, Cancelled)

    run(play())


async def _text() -> Any:
    yield b"never read"


def test_a_response_that_is_never_begun_closes_its_reply() -> None:
    async def play() -> None:
        dropped, ended = reply_of(), reply_of()
        response = streamed(dropped, _text(), [])
        del response
        gc.collect()
        assert isinstance(dropped.outcome, Cancelled)
        await streamed(ended, _text(), []).stream.aclose()  # type: ignore[union-attr]
        assert isinstance(ended.outcome, Cancelled)

    run(play())


def test_several_replies_read_as_one() -> None:
    async def play() -> None:
        replies = [reply_of(), reply_of(), reply_of()]
        reading = asyncio.create_task(all_of(Several(replies, 2), 0.01))
        for _ in range(50):
            for reply in replies[:2]:
                reply.emit(Text(1, "x"))
            await asyncio.sleep(0.001)
        assert not isinstance(replies[2]._callbacks, list), "callbacks pile up on a silent reply"
        for reply in replies:
            reply.settle(Generated(Usage(1, 2, 3, 4, 5, 6)))
        found = [event for event in await reading if event is not None]
        assert found[-1] == Generated(Usage(3, 6, 9, 12, 15, 18))
        texts: list[Event] = found[:-1]
        assert [sum(e == Text(index, "x") for e in texts) for index in range(6)] == [0, 50, 0, 50, 0, 0]

    run(play())


def test_the_first_error_ends_several() -> None:
    async def play() -> None:
        closed: list[int] = []
        replies = [reply_of(lambda: closed.append(0)), reply_of(lambda: closed.append(1))]
        reading = asyncio.create_task(all_of(Several(replies, 1)))
        await asyncio.sleep(0.01)
        replies[1].settle(ModelFailed("it broke"))
        assert isinstance((await reading)[-1], ModelFailed)
        assert closed == [0]

    run(play())


def test_an_event_is_one_line_whatever_its_text() -> None:
    assert sse({"a": "x\n\ny\r\u2028"}, "named") == 'event: named\ndata: {"a":"x\\n\\ny\\r\u2028"}\n\n'.encode()


# --- on a real socket


@pytest.fixture
def doors() -> Iterator[tuple[Live, Scripted]]:
    with openai_doors() as found:
        yield found


def request(path: str = "/v1/chat/completions", **rest: Any) -> bytes:
    given = {"input": "Hi"} if "responses" in path else {"messages": [{"role": "user", "content": "Hi"}]}
    body = json.dumps({"model": "tiny", **given, **rest}).encode()
    return b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (path.encode(), len(body), body)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses"])
@pytest.mark.parametrize(
    ("steps", "wish"),
    [
        ((30.0,), {"stream": True}),
        ((30.0,), {}),
        ((Started(3), 30.0), {"stream": True}),
        ((Started(3), Text(0, "a"), 30.0), {"stream": True}),
        ((Started(3), Text(0, "a"), 30.0), {}),
    ],
    ids=["before the first event", "before, whole", "before the first token", "mid-stream", "mid-answer, whole"],
)
def test_a_client_that_leaves_ends_its_answer(
    doors: tuple[Live, Scripted], path: str, steps: Any, wish: dict[str, Any]
) -> None:
    server, model = doors
    model.steps = steps
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(request(path, **wish))
        eventually(lambda: model.requests, "not asked")
        time.sleep(0.05)
    eventually(lambda: model.closed == 1, "the answer went on", 5)


def test_a_hundred_that_leave_at_any_moment(doors: tuple[Live, Scripted]) -> None:
    server, model = doors
    model.steps = (Started(3), *(Text(0, "a") for _ in range(50)), 30.0)
    for index in range(100):
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.sendall(request(stream=index % 3 != 0))
            time.sleep(index * 0.00005)
    eventually(lambda: model.closed == len(model.requests), "answers went on", 5)
    assert len(model.requests) > 10


def test_a_silent_stream_pings(doors: tuple[Live, Scripted], monkeypatch: pytest.MonkeyPatch) -> None:
    server, model = doors
    monkeypatch.setattr(stream.events, "__defaults__", (0.02, ""))
    model.steps = (Started(3), 0.3, Text(0, "a"), Stopped(0, "stop"), END)
    for path in ("/v1/chat/completions", "/v1/responses"):
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.sendall(request(path, stream=True).replace(b"Host: x", b"Host: x\r\nConnection: close"))
            raw = b"".join(iter(lambda: client.recv(65536), b""))
        assert raw.count(b": ping\n\n") > 3


def test_a_reader_slower_than_the_model_is_cut_at_last(doors: tuple[Live, Scripted]) -> None:
    """Memory is bounded: what a client does not read waits, up to a bound, then the answer ends."""
    server, model = doors
    model.steps = (Started(3), *(Text(0, "a" * 1000) for _ in range(100_000)), 30.0)
    assert HttpLimits().write_stall_s > 5
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(request(stream=True))
        eventually(lambda: model.requests, "not asked")
        eventually(lambda: model.closed == 1, "the answer went on", 60)
