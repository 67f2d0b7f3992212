"""POST /v1/completions: prompts, echo, log-probabilities, and several prompts as one request."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from penstock.admission.accounts import Accounts
from penstock.admission.settings import TenantSettings
from penstock.core.clock import system_clock
from penstock.core.errors import ModelFailed, Overloaded
from penstock.core.generation import Generated, Generation, Sampling, Started, Stopped, Text, TokenLogprob, Usage
from penstock.core.reply import Reply
from penstock.core.request import Request
from penstock.protocols.openai.door import OpenAI
from penstock.protocols.reading import wrong
from tests.admission.accounting import Book
from tests.protocols.openai.live import data_of, openai_doors
from tests.protocols.scripted import HELLO, Live, Scripted, live
from tests.servers import eventually

TURNS = [{"role": "user", "content": "hi"}]
PATH = "/v1/completions"
TOKENS = (
    TokenLogprob("A", b"A", -0.5, (("A", b"A", -0.5), ("B", b"B", -1.5))),
    TokenLogprob("\ufffd", b"\xc3", -0.25, (("x", b"x", -0.75),)),
    TokenLogprob("\ufffd", b"\xa9", -0.125),
    TokenLogprob("!", b"!", -2.0),
)


@pytest.fixture(scope="module")
def doors() -> Iterator[tuple[Live, Scripted]]:
    with openai_doors() as found:
        yield found


@pytest.fixture
def server(doors: tuple[Live, Scripted]) -> Live:
    return doors[0]


@pytest.fixture
def model(doors: tuple[Live, Scripted]) -> Scripted:
    doors[1].steps = HELLO
    return doors[1]


def ask(prompt: Any = "Once", **rest: Any) -> dict[str, Any]:
    return {"model": "tiny", "prompt": prompt, **rest}


def test_a_whole_answer(server: Live, model: Scripted) -> None:
    answer = server.json(PATH, ask())
    assert re.fullmatch(r"cmpl-[0-9a-f]{24}", answer["id"])
    assert (answer["object"], answer["model"], answer["system_fingerprint"]) == ("text_completion", "tiny", None)
    assert answer["choices"] == [{"text": "Hello 🚲", "index": 0, "logprobs": None, "finish_reason": "stop"}]
    assert (answer["usage"]["prompt_tokens"], answer["usage"]["total_tokens"]) == (5, 8)
    assert model.generation == Generation(prompt="Once", sampling=Sampling(max_tokens=16))


def test_a_stream(server: Live, model: Scripted) -> None:
    _, headers, raw = server.ask("POST", PATH, ask(stream=True, stream_options={"include_usage": True}))
    *chunks, usage, done = data_of(raw)
    assert headers["content-type"].startswith("text/event-stream")
    assert done == "[DONE]"
    assert [(c["choices"][0]["text"], c["choices"][0]["finish_reason"]) for c in chunks] == [
        ("Hel", None),
        ("lo 🚲", None),
        ("", "stop"),
    ]
    assert (usage["choices"], usage["usage"]["completion_tokens"], chunks[0]["usage"]) == ([], 3, None)


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("Once", ["Once"]),
        (["Once"], ["Once"]),
        (["Once", "Twice"], ["Once", "Twice"]),
        ([1, 2, 3], [(1, 2, 3)]),
        ([[1, 2], [3]], [(1, 2), (3,)]),
    ],
)
def test_every_kind_of_prompt(server: Live, model: Scripted, prompt: Any, expected: list[Any]) -> None:
    asked = len(model.requests)
    answer = server.json(PATH, ask(prompt))
    assert [request.payload.prompt for request in model.requests[asked:]] == expected  # type: ignore[union-attr]
    assert [choice["index"] for choice in answer["choices"]] == list(range(len(expected)))
    assert answer["usage"]["prompt_tokens"] == 5 * len(expected)


def test_prompts_and_answers_are_numbered_through(server: Live, model: Scripted) -> None:
    model.steps = (
        Started(5), Text(1, "b"), Text(0, "a"), Stopped(0, "length"), Stopped(1, "stop"), Generated(Usage(5, 0, 4)),
    )  # fmt: skip
    answer = server.json(PATH, ask(["x", "y"], n=2, best_of=2))
    assert [(choice["index"], choice["text"]) for choice in answer["choices"]] == [
        (0, "a"),
        (1, "b"),
        (2, "a"),
        (3, "b"),
    ]
    _, _, raw = server.ask("POST", PATH, ask(["x", "y"], n=2, stream=True))
    *chunks, done = data_of(raw)
    assert done == "[DONE]"
    texts = ["", "", "", ""]
    for chunk in chunks:
        texts[chunk["choices"][0]["index"]] += chunk["choices"][0]["text"]
    assert texts == ["a", "b", "a", "b"]


def test_one_that_fails_fails_all(server: Live, model: Scripted) -> None:
    model.steps = (Started(5), Text(0, "a"), ModelFailed("it broke"))
    assert server.refusal(PATH, ask(["x", "y"]))[0] == 500
    _, _, raw = server.ask("POST", PATH, ask(["x", "y"], stream=True))
    assert next(chunk for chunk in data_of(raw) if "error" in chunk)["error"]["message"] == "it broke"
    assert "[DONE]" not in data_of(raw)


class Full(Scripted):
    """Has room for so many requests."""

    room = 2

    async def __call__(self, request: Request) -> Reply:
        if len(self.requests) == self.room:
            raise Overloaded("full")
        await asyncio.sleep(0)
        return await super().__call__(request)


def test_all_prompts_are_accepted_or_none() -> None:
    with openai_doors(model=Full((Started(5), 30.0))) as (server, model):
        assert server.refusal(PATH, ask(["x", "y", "z"]))[0] == 503
        eventually(lambda: model.closed == 2, "accepted prompts went on")


@contextmanager
def limited(model: Scripted, limits: TenantSettings) -> Iterator[tuple[Live, Book]]:
    """The doors over a tenant's limits, and the book of what was asked."""
    book = Book()
    accounts = Accounts(model, {"*": limits}, lambda meta, request: None, book)
    with live(lambda routes, served: OpenAI(accounts, served, system_clock).mount(routes)) as server:
        yield server, book


def test_prompts_over_a_limit_are_refused_together_and_pay_nothing() -> None:
    model = Scripted()
    with limited(model, TenantSettings(requests_per_minute=6, concurrency=20)) as (server, book):
        status, error = server.refusal(PATH, ask(["x"] * 10))
        assert (status, model.requests) == (413, [])
        assert "at most 6 prompts may come at once, not 10" in error["error"]["message"]
        server.json(PATH, ask(["x"] * 4))
        status, error = server.refusal(PATH, ask(["x"] * 3))
        assert (status, error["error"]["code"]) == (429, "rate_limit_exceeded")
        server.json(PATH, ask(["x"] * 2))
        assert [entry.status for entry in book.entries] == [413] * 10 + [200] * 4 + [429] * 3 + [200] * 2
        assert sum(entry.prompt_tokens for entry in book.entries if entry.status != 200) == 0


@pytest.mark.parametrize("streamed", [False, True])
def test_prompts_whose_fellow_fails_pay_nothing(streamed: bool) -> None:
    class Second(Scripted):
        """Breaks at the second prompt."""

        async def __call__(self, request: Request) -> Reply:
            await asyncio.sleep(0)
            self.steps = (Started(5), Text(0, "a"), ModelFailed("no")) if self.requests else (Started(5), 30.0)
            return await super().__call__(request)

    with limited(Second(), TenantSettings(tokens_per_minute=60_000)) as (server, book):
        server.ask("POST", PATH, ask(["x " * 50, "y"], stream=streamed))
        eventually(lambda: len(book.entries) == 2, "not settled")
        assert [(entry.status, entry.prompt_tokens) for entry in book.entries] == [(500, 0), (500, 0)]


@pytest.mark.parametrize("streamed", [False, True])
def test_leaving_ends_every_prompt(server: Live, model: Scripted, streamed: bool) -> None:
    model.steps = (Started(5), Text(0, "a"), 30.0)
    closed, asked = model.closed, len(model.requests)
    body = json.dumps(ask(["x", "y"], stream=streamed)).encode()
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        eventually(lambda: len(model.requests) == asked + 2, "not asked")
        if streamed:
            assert client.recv(100).startswith(b"HTTP/1.1 200")
    eventually(lambda: model.closed == closed + 2, "answers went on")


def test_log_probabilities_in_the_old_shape(server: Live, model: Scripted) -> None:
    model.steps = (
        Started(5), Text(0, "A", TOKENS[:1]), Text(0, "é!", TOKENS[1:]), Stopped(0, "stop"), Generated(Usage(5, 0, 4)),
    )  # fmt: skip
    expected = {
        "tokens": ["A", "\ufffd", "\ufffd", "!"],
        "token_logprobs": [-0.5, -0.25, -0.125, -2.0],
        "top_logprobs": [{"A": -0.5, "B": -1.5}, {"x": -0.75, "\ufffd": -0.25}, {"\ufffd": -0.125}, {"!": -2.0}],
        "text_offset": [0, 1, 1, 2],
    }
    assert server.json(PATH, ask(logprobs=2))["choices"][0]["logprobs"] == expected
    assert model.generation.sampling.logprobs == 2
    _, _, raw = server.ask("POST", PATH, ask(logprobs=2, stream=True))
    pieces = [c["choices"][0]["logprobs"] for c in data_of(raw)[:2]]
    assert {key: pieces[0][key] + pieces[1][key] for key in expected} == expected
    assert server.json(PATH, ask(logprobs=0))["choices"][0]["logprobs"]["top_logprobs"] is None


def test_digits_that_are_noise_are_not_shown(server: Live, model: Scripted) -> None:
    token = TokenLogprob("A", b"A", -0.10000000149011612, (("B", b"B", -1234.5678901234),))
    model.steps = (Started(5), Text(0, "A", (token,)), Stopped(0, "stop"), Generated(Usage(5, 0, 1)))
    shown = server.json(PATH, ask(logprobs=1))["choices"][0]["logprobs"]
    assert (shown["token_logprobs"], shown["top_logprobs"]) == ([-0.1], [{"B": -1234.568, "A": -0.1}])


def test_log_probabilities_that_the_engine_has_not_blame_the_field_that_asked(server: Live, model: Scripted) -> None:
    model.steps = (wrong("top_logprobs", "the engine cannot show 3 alternatives"),)
    for prompt in ("A", ["A", "B"]):
        status, told = server.refusal(PATH, ask(prompt, logprobs=3))
        assert (status, told["error"]["param"]) == (400, "logprobs")


def test_echo(server: Live, model: Scripted) -> None:
    model.steps = (Started(1), Text(0, "A"), Text(0, "!"), Stopped(0, "stop"), Generated(Usage(1, 0, 1)))
    assert server.json(PATH, ask("A", echo=True))["choices"][0]["text"] == "A!"
    assert model.generation.echo


def test_no_refusal_recommends_log_probabilities_of_prompts(server: Live) -> None:
    for path, body in ((PATH, ask("A")), ("/v1/chat/completions", {"model": "tiny", "messages": TURNS})):
        status, told = server.refusal(path, {**body, "prompt_logprobs": 1})
        assert (status, told["error"]["param"]) == (400, "prompt_logprobs")
        assert "no engine here" in told["error"]["message"]


def test_echo_alone(server: Live, model: Scripted) -> None:
    model.steps = (Started(1), Text(0, "Once"), Generated(Usage(1)))
    found = server.json(PATH, ask(echo=True, max_tokens=0))["choices"]
    assert found == [{"text": "Once", "index": 0, "logprobs": None, "finish_reason": "length"}]
    assert (model.generation.count_only, model.generation.echo) == (True, True)
    _, _, raw = server.ask("POST", PATH, ask(echo=True, max_tokens=0, stream=True))
    assert [chunk["choices"][0]["finish_reason"] for chunk in data_of(raw)[:-1]] == [None, "length"]


@pytest.mark.parametrize(
    ("rest", "param"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": [[]]}, "prompt"),
        ({"prompt": ["a", ""]}, "prompt"),
        ({"prompt": ["a", 1]}, "prompt"),
        ({"prompt": [1, [2]]}, "prompt"),
        ({"prompt": [-1]}, "prompt"),
        ({"prompt": [2**31]}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"prompt": ["a"] * 129}, "prompt"),
        ({"prompt": ["a"] * 65, "n": 2}, "n"),
        ({"suffix": "end"}, "suffix"),
        ({"best_of": 3}, "best_of"),
        ({"logprobs": 6}, "logprobs"),
        ({"logprobs": True}, "logprobs"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 10**18}, "max_tokens"),
        ({"max_tokens": 0, "echo": True, "logprobs": 1}, "logprobs"),
        ({"stream_options": {}}, "stream_options"),
        ({"add_special_tokens": False}, "add_special_tokens"),
        ({"messages": []}, "messages"),
    ],
)
def test_what_is_wrong_is_refused_by_name(server: Live, model: Scripted, rest: dict[str, Any], param: str) -> None:
    asked = len(model.requests)
    status, answer = server.refusal(PATH, ask(**rest) if "prompt" not in rest else {"model": "tiny", **rest})
    assert status in (400, 413)
    assert answer["error"]["param"] == param, answer
    assert len(model.requests) == asked
