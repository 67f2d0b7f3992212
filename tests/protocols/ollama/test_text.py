"""/api/chat and /api/generate on the wire: what they ask for, what they answer, streamed and whole."""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from unittest.mock import ANY

import pytest

from penstock.core.clock import system_clock
from penstock.core.errors import Unavailable, Unloaded, WorkerLost
from penstock.core.generation import (
    Call,
    CallArguments,
    CallStarted,
    Generated,
    Message,
    Reasoning,
    Sampling,
    Started,
    Stopped,
    Text,
    TokenLogprob,
    Tool,
    Usage,
)
from penstock.core.model import State
from penstock.protocols.ollama.door import OllamaText
from tests.protocols.scripted import CONTEXT, HELLO, Live, Scripted, live, llm

CHAT: dict[str, Any] = {"model": "tiny", "messages": [{"role": "user", "content": "hi"}]}
PROMPT: dict[str, Any] = {"model": "tiny", "prompt": "hi"}
SCHEMA = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}
TOOLS = [{"type": "function", "function": {"name": "double", "description": "Doubles.", "parameters": SCHEMA}}]
EVERYTHING = (
    Started(9, 4),
    Reasoning(0, "hm"),
    Reasoning(0, "m"),
    Text(0, "Let me "),
    Text(0, "see."),
    CallStarted(0, 0, "call_a", "double"),
    Text(0, "", tokens=1),
    CallArguments(0, 0, '{"x": '),
    CallArguments(0, 0, "4}"),
    CallStarted(0, 1, "call_b", "now"),
    Stopped(0, "tool_calls"),
    Generated(Usage(9, 4, 20, 2)),
)
CALLS = [
    {"id": "call_a", "function": {"index": 0, "name": "double", "arguments": {"x": 4}}},
    {"id": "call_b", "function": {"index": 1, "name": "now", "arguments": {}}},
]


LOADS: list[str] = []


class Lives:
    """Notes what is loaded and unloaded."""

    async def load(self, name: str) -> None:
        LOADS.append(f"load {name}")

    async def unload(self, name: str) -> None:
        LOADS.append(f"unload {name}")


@pytest.fixture(scope="module")
def model() -> Scripted:
    return Scripted()


@pytest.fixture(scope="module")
def served(model: Scripted) -> Iterator[Live]:
    def mount(routes: Any, models: Any) -> None:
        OllamaText(model, models, system_clock, Lives()).mount(routes)

    with live(mount, llm(), llm("base", chat_template="")) as doors:
        yield doors


@pytest.fixture(autouse=True)
def _hello(model: Scripted) -> None:
    model.steps = HELLO


def stream(served: Live, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    status, headers, raw = served.ask("POST", path, body)
    assert status == 200
    assert headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in raw.splitlines()]
    for line in lines:
        assert line.pop("model") == body["model"]
        assert datetime.fromisoformat(line.pop("created_at")).tzinfo is not None
    return lines


def whole(served: Live, path: str, body: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = served.json(path, {**body, "stream": False})
    return found


# --- answers


def test_a_chat_streams_unless_told_otherwise(served: Live) -> None:
    *first, last = stream(served, "/api/chat", CHAT)
    assert first == [
        {"message": {"role": "assistant", "content": "Hel"}, "done": False},
        {"message": {"role": "assistant", "content": "lo 🚲"}, "done": False},
    ]
    assert (last["done"], last["done_reason"], last["message"]["content"]) == (True, "stop", "")
    assert (last["prompt_eval_count"], last["eval_count"]) == (5, 3)
    durations = [last[f"{name}_duration"] for name in ("load", "prompt_eval", "eval", "total")]
    assert all(isinstance(duration, int) and duration >= 0 for duration in durations)
    assert sum(durations[:3]) == pytest.approx(durations[3], abs=3)


def test_a_prompt_streams_too(served: Live, model: Scripted) -> None:
    *first, last = stream(served, "/api/generate", {**PROMPT, "system": "Be brief."})
    assert first == [{"response": "Hel", "done": False}, {"response": "lo 🚲", "done": False}]
    assert (last["done"], last["response"]) == (True, "")
    assert model.generation.messages == (Message("system", "Be brief."), Message("user", "hi"))


@pytest.mark.parametrize(("path", "body"), [("/api/chat", CHAT), ("/api/generate", PROMPT)])
def test_whole_answers(served: Live, path: str, body: dict[str, Any]) -> None:
    answer = whole(served, path, body)
    text = answer["message"]["content"] if path == "/api/chat" else answer["response"]
    assert (text, answer["done"], answer["done_reason"], answer["eval_count"]) == ("Hello 🚲", True, "stop", 3)


def test_a_stream_is_the_whole_answer(served: Live, model: Scripted) -> None:
    model.steps = EVERYTHING
    lines = stream(served, "/api/chat", {**CHAT, "tools": TOOLS})
    said = [line["message"] for line in lines]
    message = whole(served, "/api/chat", {**CHAT, "tools": TOOLS})["message"]
    assert message == {"role": "assistant", "content": "Let me see.", "thinking": "hmm", "tool_calls": CALLS}
    assert "".join(part["content"] for part in said) == message["content"]
    assert "".join(part.get("thinking", "") for part in said) == message["thinking"]
    assert [call for part in said for call in part.get("tool_calls", ())] == CALLS
    assert [line["done"] for line in lines].count(True) == 1


def test_thoughts_of_a_prompts_answer(served: Live, model: Scripted) -> None:
    model.steps = (Started(1), Reasoning(0, "hm"), Text(0, "yes"), Stopped(0, "stop"), Generated(Usage(1, 0, 2)))
    answer = whole(served, "/api/generate", {**PROMPT, "think": True})
    assert (answer["response"], answer["thinking"], model.generation.think) == ("yes", "hm", True)


def test_logprobs(served: Live, model: Scripted) -> None:
    token = TokenLogprob("hi", b"hi", -0.5, (("hi", b"hi", -0.5), ("ho", b"ho", -1.5)))
    model.steps = (Started(1), Text(0, "hi", (token,)), Stopped(0, "stop"), Generated(Usage(1, 0, 1)))
    answer = whole(served, "/api/chat", {**CHAT, "logprobs": True, "top_logprobs": 2})
    assert model.generation.sampling.logprobs == 2
    (told,) = answer["logprobs"]
    assert (told["token"], told["logprob"], told["bytes"]) == ("hi", -0.5, [104, 105])
    assert [top["token"] for top in told["top_logprobs"]] == ["hi", "ho"]


@pytest.mark.parametrize("path", ["/api/chat", "/api/generate"])
def test_asking_for_nothing_loads_and_unloads(served: Live, model: Scripted, path: str) -> None:
    asked = len(model.requests)
    answer = served.json(path, {"model": "tiny:latest", "stream": False})
    assert (answer["done"], answer["done_reason"], LOADS.pop()) == (True, "load", "load tiny")
    for zero in (0, "0", "0s"):
        answer = served.json(path, {"model": "tiny", "stream": False, "keep_alive": zero})
        assert (answer["done_reason"], LOADS.pop()) == ("unload", "unload tiny")
    assert served.refusal(path, {"model": "huge"})[0] == 404
    assert len(model.requests) == asked


@pytest.mark.parametrize(
    ("path", "body"), [("/api/chat", CHAT), ("/api/generate", {"model": "tiny", "prompt": "hi", "keep_alive": 0})]
)
def test_a_model_that_was_unloaded_is_loaded_first(path: str, body: dict[str, Any]) -> None:
    tiny, model, log = llm(), Scripted(), list[str]()

    class Sleeper(Lives):
        async def load(self, name: str) -> None:
            log.append(f"load {name}")
            await asyncio.sleep(0.1)
            assert not model.requests
            tiny.state = State.READY

    def mount(routes: Any, models: Any) -> None:
        OllamaText(model, models, system_clock, Sleeper()).mount(routes)

    with live(mount, tiny) as doors:
        tiny.state = State.UNLOADED
        for _ in range(2):
            assert whole(doors, path, body)["eval_count"] == 3
        assert log == ["load tiny"]


def test_a_client_that_leaves_while_a_model_is_loaded(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody hears that it failed; that is no bug to be logged."""
    tiny, ended = llm(), threading.Event()
    tiny.state = State.UNLOADED

    class Fails(Lives):
        async def load(self, name: str) -> None:
            await asyncio.sleep(0.2)
            asyncio.get_running_loop().call_later(0.05, ended.set)
            raise Unavailable("the model could not be loaded")

    def mount(routes: Any, models: Any) -> None:
        OllamaText(Scripted(), models, system_clock, Fails()).mount(routes)

    with live(mount, tiny) as doors:
        with socket.create_connection(("127.0.0.1", doors.port), 10) as client:
            raw = json.dumps(CHAT).encode()
            client.sendall(b"POST /api/chat HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(raw) + raw)
            time.sleep(0.1)
        assert ended.wait(5)
        gc.collect()
    assert "never retrieved" not in caplog.text


def test_where_clients_may_not_load_an_unloaded_model_stays_so() -> None:
    tiny, model = llm(), Scripted((Unloaded("the model is unloaded", retry_after_s=None),))
    tiny.state = State.UNLOADED

    def mount(routes: Any, models: Any) -> None:
        OllamaText(model, models, system_clock).mount(routes)

    with live(mount, tiny) as doors:
        assert doors.refusal("/api/chat", CHAT) == (503, ANY)
        status, told = doors.refusal("/api/chat", {"model": "tiny", "keep_alive": 0})
        assert (status, "http.lifecycle" in told["error"]) == (403, True)


# --- what is asked for


def test_options_reach_the_model(served: Live, model: Scripted) -> None:
    options = {
        "num_predict": 8, "temperature": 0.5, "top_k": 40, "top_p": 0.9, "min_p": 0.05, "seed": 7, "stop": ["END"],
        "repeat_penalty": 1.1, "presence_penalty": 0.5, "frequency_penalty": -0.5, "num_ctx": CONTEXT, "num_thread": 4,
        "mirostat": 0, "use_mmap": True,
    }  # fmt: skip
    whole(served, "/api/chat", {**CHAT, "options": options, "keep_alive": "5m"})
    assert model.generation.sampling == Sampling(
        max_tokens=8, temperature=0.5, top_p=0.9, top_k=40, min_p=0.05, seed=7, presence_penalty=0.5,
        frequency_penalty=-0.5, repetition_penalty=1.1, stop=("END",),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("options", "field", "value"),
    [
        ({"num_predict": -1}, "max_tokens", None),
        ({"num_predict": -2}, "max_tokens", None),
        ({"seed": -1}, "seed", None),
        ({"top_k": -3}, "top_k", 0),
        ({"stop": "END"}, "stop", ("END",)),
        ({"repeat_penalty": 1.5, "repeat_last_n": 0}, "repetition_penalty", 1.0),
        ({"repeat_penalty": 1.5, "repeat_last_n": -1}, "repetition_penalty", 1.5),
        ({"temperature": None}, "temperature", None),
        (None, "temperature", None),
    ],
)
def test_options_that_mean_something_else_here(
    served: Live, model: Scripted, options: Any, field: str, value: Any
) -> None:
    whole(served, "/api/chat", {**CHAT, "options": options})
    assert getattr(model.generation.sampling, field) == value


@pytest.mark.parametrize(("given", "asked"), [("json", {}), (SCHEMA, SCHEMA), ("", None), (None, None)])
def test_format(served: Live, model: Scripted, given: Any, asked: Any) -> None:
    for path, body in (("/api/chat", CHAT), ("/api/generate", PROMPT)):
        whole(served, path, {**body, "format": given})
        assert model.generation.format == asked


def test_a_conversation_with_tools_in_our_words(served: Live, model: Scripted) -> None:
    called = [{"function": {"name": name, "arguments": {"x": x}}} for name, x in (("double", 1), ("half", 2))]
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "", "thinking": "hm", "tool_calls": called},
        {"role": "tool", "content": "1", "tool_name": "half"},
        {"role": "tool", "content": "2"},
        {"role": "assistant", "tool_calls": [{"id": "mine", "function": {"name": "now", "arguments": {}}}]},
        {"role": "tool", "content": "3", "tool_call_id": "mine"},
    ]
    whole(served, "/api/chat", {**CHAT, "messages": messages, "tools": TOOLS})
    calls = (Call("call_1", "double", '{"x":1}'), Call("call_2", "half", '{"x":2}'))
    assert model.generation.messages == (
        Message("system", "Be brief."),
        Message("user", "a"),
        Message("assistant", "", calls, reasoning="hm"),
        Message("tool", "1", call_id="call_2", name="half"),
        Message("tool", "2", call_id="call_1", name="double"),
        Message("assistant", "", (Call("mine", "now", "{}"),)),
        Message("tool", "3", call_id="mine", name="now"),
    )
    assert model.generation.tools == (Tool("double", "Doubles.", SCHEMA),)


def test_a_raw_prompt_and_a_model_without_a_template(served: Live, model: Scripted) -> None:
    whole(served, "/api/generate", {**PROMPT, "raw": True})
    assert (model.generation.prompt, model.generation.messages) == ("hi", ())
    whole(served, "/api/generate", {**PROMPT, "model": "base"})
    assert (model.generation.prompt, model.generation.messages) == ("hi", ())
    status, told = served.refusal("/api/generate", {**PROMPT, "raw": True, "system": "a"})
    assert (status, "raw is true" in told["error"]) == (400, True)


# --- refusals


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"num_ctx": CONTEXT + 1}, f"num_ctx is {CONTEXT + 1}, but the model is served with a context of {CONTEXT}"),
        ({"num_predict": 0}, "num_predict is 0"),
        ({"num_predict": 10**18}, "num_predict"),
        ({"temperature": -1}, "temperature"),
        ({"top_p": 2}, "top_p"),
        ({"seed": 2**64}, "seed"),
        ({"stop": [""]}, "stop[0] is empty"),
        ({"stop": ["a"] * 17}, "stop has 17"),
        ({"mirostat": 2}, "mirostat is not offered"),
        ({"tfs_z": 0.5}, "tfs_z is not offered"),
        ({"repeat_penalty": 1.5, "repeat_last_n": 64}, "repeat_last_n"),
        ({"temprature": 1}, "unknown field 'temprature'"),
        ([], "options must be an object"),
    ],
)
def test_options_that_cannot_be_obeyed_are_named(served: Live, model: Scripted, options: Any, says: str) -> None:
    asked = len(model.requests)
    status, told = served.refusal("/api/chat", {**CHAT, "options": options})
    assert (status, told["code"]) == (400, "bad_input")
    assert says in told["error"]
    assert len(model.requests) == asked


@pytest.mark.parametrize(
    ("path", "changes", "says"),
    [
        ("/api/chat", {"messages": [{"role": "user", "content": None}]}, "messages[0].content is missing"),
        ("/api/chat", {"messages": [{"role": "bot", "content": "a"}]}, "messages[0].role"),
        ("/api/chat", {"messages": [{"role": "user", "content": "a", "images": ["aGk="]}]}, "read text alone"),
        ("/api/chat", {"tools": [{"type": "function", "function": {"name": "a b"}}]}, "name"),
        ("/api/chat", {"tools": [*TOOLS, *TOOLS]}, "names must differ"),
        ("/api/chat", {"tools": [{"type": "web"}]}, "tools"),
        ("/api/chat", {"format": "yaml"}, "format"),
        ("/api/chat", {"think": "a lot"}, "think"),
        ("/api/chat", {"template": "{{ .Prompt }}"}, "template is not offered"),
        ("/api/chat", {"truncate": True}, "never cut"),
        ("/api/chat", {"top_logprobs": 21}, "top_logprobs"),
        ("/api/chat", {"chat_template": "x"}, "unknown field 'chat_template'"),
        ("/api/generate", {"suffix": "x"}, "suffix is not offered"),
        ("/api/generate", {"context": [1, 2]}, "send the conversation as messages"),
        ("/api/generate", {"images": ["aGk="]}, "read text alone"),
    ],
)
def test_what_is_wrong_is_named(served: Live, path: str, changes: dict[str, Any], says: str) -> None:
    status, told = served.refusal(path, {**(CHAT if path == "/api/chat" else PROMPT), **changes})
    assert (status, told["code"]) == (400, "bad_input")
    assert says in told["error"]
    assert told["request_id"]


def test_an_error_within_a_stream_is_its_last_line(served: Live, model: Scripted) -> None:
    model.steps = (Started(5), Text(0, "He"), WorkerLost("the worker died"))
    _, _, raw = served.ask("POST", "/api/chat", CHAT)
    first, last = map(json.loads, raw.splitlines())
    assert first["message"]["content"] == "He"
    assert (last["error"], last["code"]) == ("the worker died", "worker_lost")
    assert "done" not in last


def test_a_silent_model_is_heard(served: Live, model: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.protocols.ollama.door.IDLE_S", 0.05)
    model.steps = (Started(5), 0.3, *HELLO[1:])
    lines = stream(served, "/api/chat", CHAT)
    assert lines[0] == {"message": {"role": "assistant", "content": ""}, "done": False}
    assert "".join(line["message"]["content"] for line in lines) == "Hello 🚲"
