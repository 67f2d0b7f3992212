"""POST /v1/chat/completions: what reaches the model, and the exact shape of what comes back."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from penstock.core.errors import ContextExceeded, ModelFailed, Overloaded
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
from tests.protocols.openai.live import data_of, openai_doors
from tests.protocols.scripted import HELLO, Live, Scripted, Step, llm
from tests.servers import INTERNALS

PATH = "/v1/chat/completions"
HI = [{"role": "user", "content": "Hi"}]
WEATHER = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}
TIME = {"type": "function", "function": {"name": "time", "description": "The time", "strict": True}}
TOKENS = (
    TokenLogprob("Hel", b"Hel", -0.5, (("Hel", b"Hel", -0.5), ("By", b"By", -1.5))),
    TokenLogprob("�", b"\xf0\x9f", -0.25, (("�", b"\xf0\x9f", -0.25),)),
)
EVERYTHING: tuple[Step, ...] = (
    Started(7, 4),
    Reasoning(0, "Let me "),
    Reasoning(0, "see."),
    Text(0, "I look: "),
    CallStarted(0, 0, "call_1", "weather"),
    CallArguments(0, 0, '{"city":'),
    CallArguments(0, 0, ' "Oslo"}'),
    CallStarted(0, 1, "call_2", "time"),
    CallArguments(0, 1, "{}"),
    Stopped(0, "tool_calls"),
    Generated(Usage(7, 4, 20, 6, 10, 7)),
)


@pytest.fixture(scope="module")
def doors() -> Iterator[tuple[Live, Scripted]]:
    with openai_doors(llm(), llm("tuned", adapters={"law": "law.safetensors"})) as found:
        yield found


@pytest.fixture
def server(doors: tuple[Live, Scripted]) -> Live:
    return doors[0]


@pytest.fixture
def model(doors: tuple[Live, Scripted]) -> Scripted:
    doors[1].steps = HELLO
    return doors[1]


def ask(**rest: Any) -> dict[str, Any]:
    return {"model": "tiny", "messages": HI, **rest}


def stream(server: Live, **rest: Any) -> list[Any]:
    status, headers, raw = server.ask("POST", PATH, ask(stream=True, **rest))
    assert status == 200, raw
    assert headers["content-type"].startswith("text/event-stream")
    assert (headers["cache-control"], headers["x-accel-buffering"]) == ("no-cache", "no")
    return data_of(raw)


def deltas(chunks: list[Any]) -> list[Any]:
    return [chunk["choices"][0]["delta"] for chunk in chunks if chunk != "[DONE]" and chunk["choices"]]


def test_a_whole_answer(server: Live, model: Scripted) -> None:
    status, headers, raw = server.ask("POST", PATH, ask())
    answer = json.loads(raw)
    assert status == 200
    assert re.fullmatch(r"chatcmpl-[0-9a-f]{24}", answer.pop("id"))
    assert isinstance(answer.pop("created"), int)
    assert answer == {
        "object": "chat.completion",
        "model": "tiny",
        "system_fingerprint": None,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello 🚲", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 5,
            "completion_tokens": 3,
            "total_tokens": 8,
            "prompt_tokens_details": {"cached_tokens": 2, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": 0,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        },
    }
    assert headers["x-penstock-model"] == "tiny@1"
    assert headers["server-timing"].startswith("queue;dur=")
    assert model.generation.messages == (Message("user", "Hi"),)
    assert model.generation.sampling == Sampling()


def test_a_stream_is_role_then_text_then_reason_then_done(server: Live, model: Scripted) -> None:
    chunks = stream(server)
    assert chunks.pop() == "[DONE]"
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert {(chunk["object"], chunk["model"]) for chunk in chunks} == {("chat.completion.chunk", "tiny")}
    assert [chunk["choices"][0] for chunk in chunks] == [
        {"index": 0, "delta": {"role": "assistant", "content": "", "refusal": None}, "logprobs": None,
         "finish_reason": None},
        {"index": 0, "delta": {"content": "Hel"}, "logprobs": None, "finish_reason": None},
        {"index": 0, "delta": {"content": "lo 🚲"}, "logprobs": None, "finish_reason": None},
        {"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"},
    ]  # fmt: skip
    assert all("usage" not in chunk for chunk in chunks)


def test_usage_comes_last_where_it_is_asked_for(server: Live, model: Scripted) -> None:
    *chunks, last, done = stream(server, stream_options={"include_usage": True})
    assert done == "[DONE]"
    assert last["choices"] == []
    assert (last["usage"]["prompt_tokens"], last["usage"]["completion_tokens"]) == (5, 3)
    assert all(chunk["usage"] is None for chunk in chunks)


def test_usage_so_far_is_told_where_it_is_known(server: Live, model: Scripted) -> None:
    model.steps = (Started(5), Text(0, "a", tokens=2), Text(0, "b", tokens=1), Stopped(0, "stop", tokens=1))
    model.steps += (Generated(Usage(5, 0, 4)),)
    chunks = stream(server, stream_options={"include_usage": True, "continuous_usage_stats": True})
    told = [chunk["usage"] and chunk["usage"]["completion_tokens"] for chunk in chunks[:-1]]
    assert told == [None, 2, 3, 4, 4]


def test_thoughts_and_calls_whole_and_streamed_are_equal(server: Live, model: Scripted) -> None:
    model.steps = EVERYTHING
    answer = server.json(PATH, ask(tools=[WEATHER, TIME]))
    message = answer["choices"][0]["message"]
    assert (message["reasoning_content"], message["reasoning"]) == ("Let me see.", "Let me see.")
    assert message["content"] == "I look: "
    assert [(call["id"], call["type"], call["function"]) for call in message["tool_calls"]] == [
        ("call_1", "function", {"name": "weather", "arguments": '{"city": "Oslo"}'}),
        ("call_2", "function", {"name": "time", "arguments": "{}"}),
    ]
    assert answer["choices"][0]["finish_reason"] == "tool_calls"
    details = answer["usage"]["completion_tokens_details"]
    assert (details["reasoning_tokens"], details["accepted_prediction_tokens"]) == (6, 7)
    assert details["rejected_prediction_tokens"] == 3

    chunks = stream(server, tools=[WEATHER, TIME])
    assert chunks[-2]["choices"][0]["finish_reason"] == "tool_calls"
    assert put_together(deltas(chunks)) == {key: message[key] for key in ("content", "reasoning_content", "tool_calls")}


def put_together(pieces: list[Any]) -> dict[str, Any]:
    """What a client makes of the pieces of a stream."""
    calls: dict[int, Any] = {}
    for piece in pieces:
        for part in piece.get("tool_calls", ()):
            if "id" in part:
                calls[part["index"]] = {"id": part["id"], "type": part["type"], "function": dict(part["function"])}
            else:
                calls[part["index"]]["function"]["arguments"] += part["function"]["arguments"]
    texts = {key: "".join(p.get(key) or "" for p in pieces) for key in ("content", "reasoning_content")}
    return {**texts, "tool_calls": [calls[index] for index in sorted(calls)]}


def test_calls_alone_have_no_content(server: Live, model: Scripted) -> None:
    model.steps = tuple(step for step in EVERYTHING if not isinstance(step, Text))
    assert server.json(PATH, ask(tools=[WEATHER, TIME]))["choices"][0]["message"]["content"] is None


def test_several_answers_are_numbered(server: Live, model: Scripted) -> None:
    model.steps = (
        Started(5), Text(1, "b"), Text(0, "a"), Stopped(0, "length"), Text(1, "B"), Stopped(1, "stop", "."),
        Generated(Usage(5, 0, 4)),
    )  # fmt: skip
    found = server.json(PATH, ask(n=2))["choices"]
    assert [(c["index"], c["message"]["content"], c["finish_reason"]) for c in found] == [
        (0, "a", "length"),
        (1, "bB", "stop"),
    ]
    chunks = stream(server, n=2)
    roles = [c["choices"][0]["index"] for c in chunks[:2] if c["choices"][0]["delta"].get("role")]
    assert roles == [0, 1]
    assert model.generation.choices == 2


def test_log_probabilities(server: Live, model: Scripted) -> None:
    model.steps = (Started(5), Text(0, "Hel", TOKENS), Stopped(0, "stop"), Generated(Usage(5, 0, 2)))
    expected = [
        {
            "token": "Hel", "logprob": -0.5, "bytes": [72, 101, 108],
            "top_logprobs": [
                {"token": "Hel", "logprob": -0.5, "bytes": [72, 101, 108]},
                {"token": "By", "logprob": -1.5, "bytes": [66, 121]},
            ],
        },
        {
            "token": "�", "logprob": -0.25, "bytes": [240, 159],
            "top_logprobs": [{"token": "�", "logprob": -0.25, "bytes": [240, 159]}],
        },
    ]  # fmt: skip
    wish = {"logprobs": True, "top_logprobs": 2}
    assert server.json(PATH, ask(**wish))["choices"][0]["logprobs"] == {"content": expected, "refusal": None}
    assert model.generation.sampling.logprobs == 2
    assert stream(server, **wish)[1]["choices"][0]["logprobs"] == {"content": expected, "refusal": None}
    server.json(PATH, ask(logprobs=True))
    assert model.generation.sampling.logprobs == 0


def test_an_error_inside_a_stream_ends_it_without_done(server: Live, model: Scripted) -> None:
    model.steps = (Started(5), Text(0, "Hel"), ModelFailed("the worker died", detail="/secret"))
    *chunks, last = stream(server)
    assert len(chunks) == 2
    assert last["error"]["message"] == "the worker died"
    assert (last["error"]["code"], last["error"]["type"]) == ("model_failed", "server_error")
    status, answer = server.refusal(PATH, ask())
    assert (status, answer["error"]["code"]) == (500, "model_failed")


@pytest.mark.parametrize("streamed", [False, True])
def test_an_error_before_the_first_event_has_its_status(server: Live, model: Scripted, streamed: bool) -> None:
    error = ContextExceeded("the prompt has 300 tokens, the context 256")
    error.param = "messages"
    model.steps = (error,)
    status, answer = server.refusal(PATH, ask(stream=streamed))
    assert status == 400
    assert answer["error"]["code"] == "context_length_exceeded"
    assert (answer["error"]["param"], answer["error"]["type"]) == ("messages", "invalid_request_error")
    model.steps = (Overloaded("full", retry_after_s=3),)
    status, headers, _ = server.ask("POST", PATH, ask(stream=streamed))
    assert (status, headers["retry-after"]) == (503, "3")


def test_what_is_said_reaches_the_model(server: Live, model: Scripted) -> None:
    server.json(
        PATH,
        ask(
            n=3, stop=["a", "b"], seed=-1, temperature=0.5, top_p=0, presence_penalty=1, frequency_penalty=-2,
            logit_bias={"7": -100, "9": 2.5}, max_completion_tokens=9, max_tokens=9, min_tokens=2, ignore_eos=True,
            top_k=-1, min_p=0.1, repetition_penalty=1.1, stop_token_ids=[3], user="me", metadata={"a": "b"},
            store=False, service_tier="auto", priority=1, timeout_ms=60000, reasoning_effort="none",
            parallel_tool_calls=False,
        ),
    )  # fmt: skip
    found = model.generation
    assert found.sampling == Sampling(
        max_tokens=9, min_tokens=2, temperature=0.5, top_p=1e-6, top_k=0, min_p=0.1, seed=2**63 - 1,
        presence_penalty=1.0, frequency_penalty=-2.0, repetition_penalty=1.1, stop=("a", "b"), stop_token_ids=(3,),
        ignore_eos=True, logit_bias={7: -100.0, 9: 2.5},
    )  # fmt: skip
    assert (found.choices, found.think, found.parallel_calls, found.format) == (3, False, False, None)
    assert model.requests[-1].priority == 0
    server.json(PATH, ask(reasoning_effort="high", stop="x"))
    assert (model.generation.think, model.generation.sampling.stop) == (True, ("x",))


def test_a_whole_conversation_reaches_the_model(server: Live, model: Scripted) -> None:
    messages = [
        {"role": "developer", "content": [{"type": "text", "text": "Be"}, {"type": "text", "text": "brief"}]},
        {"role": "user", "content": "Weather?", "name": "ann"},
        {
            "role": "assistant", "content": None, "refusal": None, "annotations": [], "audio": None,
            "reasoning_content": "hm", "function_call": None,
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}},
                {"id": "c2", "type": "function", "function": {"name": "time", "arguments": ""}},
            ],
        },
        {"role": "tool", "tool_call_id": "c2", "content": "12:00"},
        {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "rain"}]},
    ]  # fmt: skip
    server.json(PATH, ask(messages=messages))
    assert model.generation.messages == (
        Message("system", "Be\nbrief"),
        Message("user", "Weather?", name="ann"),
        Message("assistant", "", (Call("c1", "weather", '{"city": "Oslo"}'), Call("c2", "time", "{}")), reasoning="hm"),
        Message("tool", "12:00", call_id="c2", name="time"),
        Message("tool", "rain", call_id="c1", name="weather"),
    )


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, "auto"),
        ("none", "none"),
        ("required", "required"),
        ({"type": "function", "function": {"name": "time"}}, "=time"),
    ],
)
def test_tools_and_their_choice(server: Live, model: Scripted, choice: Any, expected: str) -> None:
    server.json(PATH, ask(tools=[WEATHER, TIME], tool_choice=choice))
    schema = WEATHER["function"]["parameters"]  # type: ignore[index]
    assert model.generation.tools == (Tool("weather", "", schema), Tool("time", "The time", {}, True))
    assert model.generation.tool_choice == expected


def test_a_choice_among_some_tools(server: Live, model: Scripted) -> None:
    allowed = {"mode": "required", "tools": [{"type": "function", "function": {"name": "time"}}]}
    choice = {"type": "allowed_tools", "allowed_tools": allowed}
    server.json(PATH, ask(tools=[WEATHER, TIME], tool_choice=choice))
    assert ([tool.name for tool in model.generation.tools], model.generation.tool_choice) == (["time"], "required")


def test_formats(server: Live, model: Scripted) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    for given, expected in (
        ({"type": "text"}, None),
        ({"type": "json_object"}, {}),
        ({"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": True}}, schema),
    ):
        server.json(PATH, ask(response_format=given))
        assert model.generation.format == expected


def test_an_adapter_and_a_tag_behind_the_name(server: Live, model: Scripted) -> None:
    assert server.json(PATH, ask(model="tuned:law"))["model"] == "tuned:law"
    assert (model.requests[-1].model, model.generation.adapter) == ("tuned", "law")
    server.json(PATH, ask(model="tiny:latest"))
    assert (model.requests[-1].model, model.generation.adapter) == ("tiny", "")
    status, answer = server.refusal(PATH, ask(model="tuned:tax"))
    assert (status, answer["error"]["code"]) == (404, "model_not_found")
    assert "law" in answer["error"]["message"]
    assert server.refusal(PATH, ask(model="nobody"))[0] == 404
    listed = server.json("/v1/models")["data"]
    assert [(m["id"], m.get("parent"), m["max_model_len"]) for m in listed] == [
        ("tiny", None, 256), ("tuned", None, 256), ("tuned:law", "tuned", 256)
    ]  # fmt: skip
    assert server.json("/v1/models/tuned%3Alaw")["parent"] == "tuned"


CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("no messages", {"messages": []}, "messages"),
    ("unknown role", {"messages": [*HI, {"role": "robot", "content": "x"}]}, "messages[1].role"),
    ("null content", {"messages": [{"role": "user", "content": None}]}, "messages[0].content"),
    ("no content at all", {"messages": [{"role": "assistant"}]}, "messages[0].content"),
    ("content is a number", {"messages": [{"role": "user", "content": 5}]}, "messages"),
    ("unknown field in a message", {"messages": [{"role": "user", "content": "x", "colour": 1}]}, "messages[0].colour"),
    ("old function call", {"messages": [{"role": "assistant", "function_call": {"name": "f"}}]},
     "messages[0].function_call"),
    ("an image", {"messages": [{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": "http://169.254.169.254/"}}]}]}, "messages[0].content"),
    ("a result of no call", {"messages": [{"role": "tool", "tool_call_id": "x", "content": ""}]},
     "messages[0].tool_call_id"),
    ("a result without id", {"messages": [{"role": "tool", "content": ""}]}, "messages[0].tool_call_id"),
    ("a user's calls", {"messages": [{"role": "user", "content": "", "tool_calls": [CALL]}]}, "messages[0].tool_calls"),
    ("arguments that are no object", {"messages": [{"role": "assistant", "tool_calls": [
        {**CALL, "function": {"name": "f", "arguments": "[1]"}}]}]}, "messages[0].tool_calls[0].function.arguments"),
    ("max_tokens 0", {"max_tokens": 0}, "max_tokens"),
    ("max_tokens -1", {"max_tokens": -1}, "max_tokens"),
    ("max_tokens 1e18", {"max_tokens": 10**18}, "max_tokens"),
    ("max_tokens 1e18 as a float", {"max_tokens": 1e18}, "max_tokens"),
    ("two different most", {"max_tokens": 3, "max_completion_tokens": 4}, "max_tokens"),
    ("min over max", {"max_tokens": 3, "min_tokens": 4}, "min_tokens"),
    ("n 0", {"n": 0}, "n"),
    ("huge n", {"n": 10**9}, "n"),
    ("top_logprobs 21", {"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
    ("top_logprobs alone", {"top_logprobs": 2}, "top_logprobs"),
    ("negative temperature", {"temperature": -0.1}, "temperature"),
    ("hot", {"temperature": 2.1}, "temperature"),
    ("top_p 2", {"top_p": 2}, "top_p"),
    ("empty stop", {"stop": ""}, "stop"),
    ("empty stop among others", {"stop": ["a", ""]}, "stop"),
    ("many stops", {"stop": ["a"] * 17}, "stop"),
    ("a long stop", {"stop": "a" * 2**20}, "stop"),
    ("stop is a number", {"stop": [5]}, "stop"),
    ("bias too strong", {"logit_bias": {"1": 101}}, "logit_bias"),
    ("bias of a word", {"logit_bias": {"word": 1}}, "logit_bias"),
    ("bias of a negative id", {"logit_bias": {"-1": 1}}, "logit_bias"),
    ("negative token id", {"stop_token_ids": [-1]}, "stop_token_ids"),
    ("a large seed", {"seed": 2**64}, "seed"),
    ("unknown format", {"response_format": {"type": "xml"}}, "response_format"),
    ("no schema", {"response_format": {"type": "json_schema"}}, "response_format"),
    ("schema is text", {"response_format": {"type": "json_schema", "json_schema": {"schema": "x"}}}, "response_format"),
    ("unknown tool type", {"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools"),
    ("a tool without a function", {"tools": [{"type": "function"}]}, "tools"),
    ("two tools of one name", {"tools": [TIME, TIME]}, "tools"),
    ("a name with spaces", {"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools"),
    ("unknown tool choice", {"tools": [TIME], "tool_choice": "sometimes"}, "tool_choice"),
    ("choice of no tool", {"tools": [TIME], "tool_choice": {"type": "function", "function": {"name": "x"}}},
     "tool_choice"),
    ("required without tools", {"tool_choice": "required"}, "tool_choice"),
    ("choice of a number", {"tools": [TIME], "tool_choice": 5}, "tool_choice"),
    ("stream options alone", {"stream_options": {"include_usage": True}}, "stream_options"),
    ("unknown effort", {"reasoning_effort": "very"}, "reasoning_effort"),
    ("storing", {"store": True}, "store"),
    ("functions", {"functions": [{"name": "f"}]}, "functions"),
    ("function_call", {"function_call": "auto"}, "function_call"),
    ("a template", {"chat_template": "{{ 7 * 7 }}"}, "chat_template"),
    ("template arguments", {"chat_template_kwargs": {"a": 1}}, "chat_template_kwargs"),
    ("sound", {"modalities": ["text", "audio"]}, "modalities"),
    ("a regex", {"guided_regex": "(a+)+b"}, "guided_regex"),
    ("an unknown field", {"tempreature": 1}, "tempreature"),
    ("an early deadline", {"timeout_ms": -1}, None),  # type: ignore[list-item]
]  # fmt: skip


@pytest.mark.parametrize(("rest", "param"), [(r, p) for _, r, p in WRONG], ids=[name for name, _, _ in WRONG])
def test_what_is_wrong_is_refused_by_name(server: Live, model: Scripted, rest: dict[str, Any], param: str) -> None:
    asked = len(model.requests)
    status, answer = server.refusal(PATH, ask(**rest))
    error = answer["error"]
    assert (status in (400, 413), error["param"]) == (True, param), error
    assert param is None or re.split(r"[.\[]", param)[-1].rstrip("]") in error["message"] or param in error["message"]
    assert not INTERNALS.search(error["message"])
    assert len(model.requests) == asked


@pytest.mark.parametrize("text", ["NaN", "-Infinity", "1e400"])
def test_numbers_that_json_does_not_have(server: Live, model: Scripted, text: str) -> None:
    body = json.dumps(ask(temperature=0.125)).replace("0.125", text).encode()
    status, _, raw = server.ask("POST", PATH, body)
    assert status == 400, raw


def test_deep_schemas_are_refused(server: Live, model: Scripted) -> None:
    deep: dict[str, Any] = {}
    for _ in range(80):
        deep = {"properties": {"a": deep}}
    schema = {"type": "json_schema", "json_schema": {"schema": deep}}
    tool = {"type": "function", "function": {"name": "f", "parameters": deep}}
    for rest in ({"response_format": schema}, {"tools": [tool]}):
        status, answer = server.refusal(PATH, ask(**rest))
        assert status == 400
        assert "deep" in answer["error"]["message"]


def test_a_heavy_body_is_read_aside(server: Live, model: Scripted) -> None:
    long = "word " * 100_000
    server.json(PATH, ask(messages=[{"role": "user", "content": long}]))
    assert model.generation.messages[0].content == long
