"""What every door to generated text does alike, whatever its dialect: errors, names, clients that leave."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from penstock.core.clock import system_clock
from penstock.core.errors import ContextExceeded, Overloaded, PenstockError, WorkerLost
from penstock.core.generation import Started, Text
from penstock.protocols.anthropic.door import Anthropic
from penstock.protocols.ollama.door import OllamaText
from penstock.protocols.openai.door import OpenAI
from tests.protocols.scripted import HELLO, Live, Scripted, live, llm
from tests.servers import eventually

TURNS = [{"role": "user", "content": "hi"}]


class Door(NamedTuple):
    """A path, what it is asked, and a mark that only a stream that went well has."""

    path: str
    body: dict[str, Any]
    end: bytes

    def asked(self, **changes: Any) -> dict[str, Any]:
        return {"model": "tiny", **self.body, "stream": False, **changes}


DOORS = (
    Door("/v1/chat/completions", {"messages": TURNS}, b"[DONE]"),
    Door("/v1/completions", {"prompt": "hi"}, b"[DONE]"),
    Door("/v1/responses", {"input": "hi"}, b"response.completed"),
    Door("/v1/messages", {"messages": TURNS, "max_tokens": 16}, b"message_stop"),
    Door("/api/chat", {"messages": TURNS}, b'"done":true'),
    Door("/api/generate", {"prompt": "hi"}, b'"done":true'),
)


@pytest.fixture(scope="module")
def model() -> Scripted:
    return Scripted()


@pytest.fixture(scope="module")
def served(model: Scripted) -> Iterator[Live]:
    def mount(routes: Any, models: Any) -> None:
        for kind in (OpenAI, Anthropic, OllamaText):
            kind(model, models, system_clock).mount(routes)

    with live(mount, llm()) as doors:
        yield doors


@pytest.fixture(autouse=True)
def _hello(model: Scripted) -> None:
    model.steps = HELLO


@pytest.fixture(params=DOORS, ids=[door.path for door in DOORS])
def door(request: pytest.FixtureRequest) -> Door:
    found: Door = request.param
    return found


def test_latest_is_the_model_itself(served: Live, model: Scripted, door: Door) -> None:
    assert served.json(door.path, door.asked(model="tiny:latest"))["model"] == "tiny:latest"
    assert model.requests[-1].model == "tiny"


def test_an_unknown_model(served: Live, door: Door) -> None:
    status, told = served.refusal(door.path, door.asked(model="huge"))
    assert (status, "huge" in json.dumps(told)) == (404, True)


@pytest.mark.parametrize("raw", [b"", b"[]", b'{"model": "tiny"', b'{"temperature": NaN}', b"\xff", b"[" * 100_000])
def test_what_is_no_message(served: Live, model: Scripted, door: Door, raw: bytes) -> None:
    asked = len(model.requests)
    assert served.refusal(door.path, raw)[0] == 400
    assert len(model.requests) == asked


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("error", "status", "retry_after"),
    [(ContextExceeded("too long by 60"), 400, None), (Overloaded("full by 60", retry_after_s=7), 503, "7")],
)
def test_an_error_before_the_answer_has_a_status(
    served: Live,
    model: Scripted,
    door: Door,
    streamed: bool,
    error: PenstockError,
    status: int,
    retry_after: str | None,
) -> None:
    model.steps = (error,)
    found, headers, raw = served.ask("POST", door.path, door.asked(stream=streamed))
    assert (found, headers.get("retry-after")) == (status, retry_after)
    assert error.message in raw.decode()


def test_an_error_within_an_answer(served: Live, model: Scripted, door: Door) -> None:
    assert door.end in served.ask("POST", door.path, door.asked(stream=True))[2]
    model.steps = (Started(5), Text(0, "He"), WorkerLost("the worker died"))
    assert served.refusal(door.path, door.asked())[0] == 503
    status, _, raw = served.ask("POST", door.path, door.asked(stream=True))
    assert (status, b"the worker died" in raw, door.end in raw) == (200, True, False)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_client_that_leaves_ends_the_answer(served: Live, model: Scripted, door: Door, streamed: bool) -> None:
    model.steps = (Started(5), Text(0, "He"), 30.0)
    closed, asked, body = model.closed, len(model.requests), json.dumps(door.asked(stream=streamed)).encode()
    with socket.create_connection(("127.0.0.1", served.port), 10) as client:
        client.sendall(b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (door.path.encode(), len(body)))
        client.sendall(body)
        if streamed:
            assert client.recv(65536).startswith(b"HTTP/1.1 200")
        eventually(lambda: len(model.requests) > asked, "the request never came")
    eventually(lambda: model.closed > closed, "the answer went on", 2)
