"""Kept answers over HTTP: official clients, streams, those who leave, and how long a kept answer takes."""

from __future__ import annotations

import json
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import msgspec
import openai

from penstock.core.clock import StillClock, system_clock
from penstock.core.generation import Generated, Started, Stopped, Text, Usage
from penstock.core.reply import Reply
from penstock.core.request import Request
from penstock.protocols.openai.door import OpenAI
from penstock.routing.responses.responses import Responses
from penstock.routing.settings import ResponseCacheSettings, RouteSettings
from tests.protocols.scripted import Live, Scripted, Served, Step, live, llm

STEPS: tuple[Step, ...] = (
    Started(5),
    *[Text(0, f"word{place} ", tokens=1) for place in range(50)],
    Stopped(0, "stop"),
    Generated(Usage(5, 0, 50)),
)
WHOLE = "".join(f"word{place} " for place in range(50))
SLOW: tuple[Step, ...] = (STEPS[0], *[part for step in STEPS[1:-2] for part in (0.01, step)], *STEPS[-2:])
BODY = {"model": "assistant", "temperature": 0, "messages": [{"role": "user", "content": "Say words."}]}


class Path:
    """A route to one scripted model, with its cache."""

    def __init__(self, steps: tuple[Step, ...]):
        self.model = Scripted(steps)
        settings = RouteSettings(models=("tiny",), cache=ResponseCacheSettings())
        self.clock = StillClock(100)
        self.cache = Responses("assistant", settings, Served([llm()]), clock=self.clock)

    async def __call__(self, request: Request) -> Reply:
        return await self.cache.answer(request, self._start)

    async def _start(self, request: Request) -> Reply:
        return await self.model(msgspec.structs.replace(request, model="tiny"))


@contextmanager
def serving(steps: tuple[Step, ...] = STEPS) -> Iterator[tuple[Live, Path]]:
    path = Path(steps)
    with live(
        lambda routes, names: OpenAI(path, names, system_clock).mount(routes), routes_to={"assistant": "tiny"}
    ) as at:
        yield at, path


def told(at: Live, **headers: str) -> tuple[str, dict[str, str]]:
    """The text of a whole answer, and its headers."""
    with httpx.Client() as client:
        answer = client.post(f"{at.url}/v1/chat/completions", json=BODY, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()["choices"][0]["message"]["content"], dict(answer.headers)


def streamed(at: Live) -> str:
    """The text of a streamed answer."""
    with httpx.Client() as client:
        lines = client.post(f"{at.url}/v1/chat/completions", json={**BODY, "stream": True}).text.splitlines()
    chunks = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    return "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks if chunk["choices"])


def test_a_kept_answer_says_so() -> None:
    with serving() as (at, path):
        text, headers = told(at)
        assert (text, headers["x-penstock-cache"]) == (WHOLE, "miss")
        assert "age" not in headers
        path.clock.advance(12.6)
        text, headers = told(at)
        assert (text, headers["x-penstock-cache"], headers["age"]) == (WHOLE, "hit", "12")
        assert headers["x-penstock-model"] == "tiny@1"
        assert headers["x-penstock-route"] == "assistant"
        assert told(at, **{"Cache-Control": "max-age=5"})[1]["x-penstock-cache"] == "miss"
        assert told(at, **{"Cache-Control": "no-cache"})[1]["x-penstock-cache"] == "miss"
        assert len(path.model.requests) == 3


def test_only_if_cached_is_504_without_an_answer() -> None:
    with serving() as (at, path):
        status, _, body = at.ask("POST", "/v1/chat/completions", BODY, **{"Cache-Control": "only-if-cached"})
        assert (status, b"only-if-cached" in body) == (504, True)
        assert not path.model.requests
        told(at)
        assert told(at, **{"Cache-Control": "only-if-cached"})[1]["x-penstock-cache"] == "hit"


def test_whole_and_streamed_answers_are_one() -> None:
    with serving() as (at, path):
        client = openai.OpenAI(base_url=f"{at.url}/v1", api_key="none", max_retries=0)
        body: dict[str, Any] = dict(BODY)
        streams = []
        for _ in range(2):
            chunks = list(client.chat.completions.create(**body, stream=True, stream_options={"include_usage": True}))
            streams.append("".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices))
            usage = chunks[-1].usage
            assert usage is not None
            assert (usage.prompt_tokens, usage.completion_tokens) == (5, 50)
        whole = client.chat.completions.create(**body)
        assert whole.choices[0].message.content == streams[0] == streams[1] == WHOLE
        assert whole.usage is not None
        assert whole.usage.completion_tokens == 50
        assert len(path.model.requests) == 1
        client.close()


def test_many_who_ask_the_same_at_once_are_one_computation() -> None:
    with serving(SLOW) as (at, path):
        texts: list[str] = []
        threads = [threading.Thread(target=lambda: texts.append(told(at)[0])) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert texts == [WHOLE] * 16
        assert len(path.model.requests) == 1


def test_who_leaves_takes_nothing_from_the_others() -> None:
    with serving(SLOW) as (at, path):
        with socket.create_connection(("127.0.0.1", at.port), timeout=10) as first:
            body = httpx.Request("POST", at.url, json={**BODY, "stream": True}).content
            head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
            head += b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"
            first.sendall(head % len(body) + body)
            assert b"200 OK" in first.recv(4096)
            second = threading.Thread(target=lambda: texts.append(streamed(at)))
            texts: list[str] = []
            second.start()
            until = time.monotonic() + 10
            while not path.cache.counts.shared and time.monotonic() < until:
                time.sleep(0.005)
        second.join(30)
        assert texts == [WHOLE]
        assert (len(path.model.requests), path.model.closed) == (1, 0)


def test_a_kept_answer_takes_no_time() -> None:
    """The promise is a median under 0.5 ms on two quiet cores; this client and server share one process."""
    with serving() as (at, _), httpx.Client() as client:
        took = []
        for _ in range(200):
            began = time.perf_counter()
            answer = client.post(f"{at.url}/v1/chat/completions", json=BODY)
            took.append(time.perf_counter() - began)
            assert answer.status_code == 200
        assert answer.headers["x-penstock-cache"] == "hit"
        assert statistics.median(took) < 0.05
