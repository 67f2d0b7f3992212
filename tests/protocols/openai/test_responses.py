"""POST /v1/responses: items in, items out, and the typed events of its stream."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from openai.types.responses import Response

from penstock.core.errors import ContextExceeded, ModelFailed
from penstock.core.generation import (
    Call,
    CallArguments,
    CallStarted,
    Generated,
    Message,
    Reasoning,
    Started,
    Stopped,
    Text,
    TokenLogprob,
    Tool,
    Usage,
)
from tests.protocols.openai.live import events_of, openai_doors
from tests.protocols.scripted import HELLO, Live, Scripted, Step

PATH = "/v1/responses"
TOOL = {"type": "function", "name": "weather", "parameters": {"type": "object"}, "description": "Now", "strict": True}
EVERYTHING: tuple[Step, ...] = (
    Started(7, 4),
    Reasoning(0, "Let me "),
    Reasoning(0, "see."),
    Text(0, "I "),
    Text(0, "look."),
    CallStarted(0, 0, "call_1", "weather"),
    CallArguments(0, 0, '{"city":'),
    CallArguments(0, 0, ' "Oslo"}'),
    CallStarted(0, 1, "call_2", "weather"),
    CallArguments(0, 1, "{}"),
    Stopped(0, "tool_calls"),
    Generated(Usage(7, 4, 20, 6)),
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


def ask(given: Any = "Hi", **rest: Any) -> dict[str, Any]:
    return {"model": "tiny", "input": given, **rest}


def stream(server: Live, **rest: Any) -> list[tuple[str, Any]]:
    status, _, raw = server.ask("POST", PATH, ask(stream=True, **rest))
    assert status == 200, raw
    found = events_of(raw)
    assert all(name == data["type"] for name, data in found)
    assert [data["sequence_number"] for _, data in found] == list(range(len(found)))
    return found


def plain(output: list[Any]) -> list[Any]:
    """Items without their ids."""
    return [{key: value for key, value in item.items() if key != "id"} for item in output]


def test_a_whole_answer(server: Live, model: Scripted) -> None:
    answer = server.json(PATH, ask(instructions="Be brief", metadata={"a": "b"}, store=False))
    assert (answer["object"], answer["status"], answer["model"], answer["store"]) == (
        "response",
        "completed",
        "tiny",
        False,
    )
    assert answer["id"].startswith("resp_")
    assert answer["output"][0]["id"].startswith("msg_")
    part = {"type": "output_text", "text": "Hello 🚲", "annotations": [], "logprobs": []}
    assert plain(answer["output"]) == [
        {"type": "message", "status": "completed", "role": "assistant", "content": [part]}
    ]
    assert answer["usage"] == {
        "input_tokens": 5,
        "input_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 0},
        "output_tokens": 3,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 8,
    }
    assert (answer["instructions"], answer["metadata"]) == ("Be brief", {"a": "b"})
    assert model.generation.messages == (Message("system", "Be brief"), Message("user", "Hi"))
    Response.model_validate(answer)


def test_a_stream_has_typed_events_in_order(server: Live, model: Scripted) -> None:
    found = stream(server)
    assert [name.removeprefix("response.") for name, _ in found] == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    data = dict(found)
    assert data["response.output_text.done"]["text"] == "Hello 🚲"
    assert data["response.created"]["response"]["status"] == "in_progress"
    assert data["response.created"]["response"]["output"] == []
    assert data["response.completed"]["response"]["output"] == [data["response.output_item.done"]["item"]]
    assert data["response.completed"]["response"]["usage"]["output_tokens"] == 3
    Response.model_validate(data["response.completed"]["response"])


def test_thoughts_text_and_calls_whole_and_streamed_are_equal(server: Live, model: Scripted) -> None:
    model.steps = EVERYTHING
    whole = server.json(PATH, ask(tools=[TOOL]))
    found = stream(server, tools=[TOOL])
    last = found[-1][1]["response"]
    assert plain(last["output"]) == plain(whole["output"])
    assert [item["type"] for item in whole["output"]] == ["reasoning", "message", "function_call", "function_call"]
    assert whole["output"][0]["content"] == [{"type": "reasoning_text", "text": "Let me see."}]
    call = whole["output"][2]
    assert (call["call_id"], call["name"], call["arguments"]) == ("call_1", "weather", '{"city": "Oslo"}')
    assert whole["usage"]["output_tokens_details"] == {"reasoning_tokens": 6}
    done = [data["item"] for name, data in found if name == "response.output_item.done"]
    assert done == last["output"]
    places = [data["output_index"] for name, data in found if name == "response.output_item.added"]
    assert places == [0, 1, 2, 3]
    pieces = [data["delta"] for name, data in found if name == "response.function_call_arguments.delta"]
    assert pieces == ['{"city":', ' "Oslo"}', "{}"]
    Response.model_validate(whole)


def test_an_answer_that_was_cut_is_incomplete(server: Live, model: Scripted) -> None:
    model.steps = (Started(5), Text(0, "Hel"), Stopped(0, "length"), Generated(Usage(5, 0, 1)))
    whole = server.json(PATH, ask(max_output_tokens=1))
    assert (whole["status"], whole["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert whole["output"][0]["status"] == "incomplete"
    name, data = stream(server, max_output_tokens=1)[-1]
    assert (name, data["response"]["status"]) == ("response.incomplete", "incomplete")


def test_an_empty_answer_is_an_empty_message(server: Live, model: Scripted) -> None:
    model.steps = (Started(5), Stopped(0, "stop"), Generated(Usage(5, 0, 1)))
    assert server.json(PATH, ask())["output"][0]["content"][0]["text"] == ""
    assert stream(server)[-1][0] == "response.completed"


def test_an_error_inside_a_stream_is_its_only_end(server: Live, model: Scripted) -> None:
    model.steps = (Started(5), Text(0, "Hel"), ModelFailed("the worker died"))
    found = stream(server)
    ends = [name for name, _ in found if name.split(".")[1] in ("completed", "failed", "incomplete")]
    assert (ends, found[-1][0]) == (["response.failed"], "response.failed")
    assert found[-1][1]["response"]["error"] == {"code": "server_error", "message": "the worker died"}
    error = ContextExceeded("too long")
    model.steps = (error,)
    status, answer = server.refusal(PATH, ask(stream=True))
    assert (status, answer["error"]["code"]) == (400, "context_length_exceeded")


def test_answers_can_be_sent_back_as_they_came(server: Live, model: Scripted) -> None:
    model.steps = EVERYTHING
    output = server.json(PATH, ask(tools=[TOOL]))["output"]
    conversation = [
        {"role": "user", "content": [{"type": "input_text", "text": "Weather?"}]},
        *output,
        {"type": "function_call_output", "call_id": "call_1", "output": "rain"},
        {"type": "function_call_output", "call_id": "call_2", "output": [{"type": "input_text", "text": "sun"}]},
        {"type": "message", "role": "user", "content": "And?"},
    ]
    server.json(PATH, ask(conversation, tools=[TOOL]))
    calls = (Call("call_1", "weather", '{"city": "Oslo"}'), Call("call_2", "weather", "{}"))
    assert model.generation.messages == (
        Message("user", "Weather?"),
        Message("assistant", "I look.", calls, reasoning="Let me see."),
        Message("tool", "rain", call_id="call_1", name="weather"),
        Message("tool", "sun", call_id="call_2", name="weather"),
        Message("user", "And?"),
    )


def test_what_is_said_reaches_the_model(server: Live, model: Scripted) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    format = {"type": "json_schema", "name": "x", "schema": schema, "strict": True}
    answer = server.json(
        PATH,
        ask(
            max_output_tokens=9, temperature=0, top_p=0.5, tools=[TOOL], text={"format": format}, top_logprobs=3,
            tool_choice={"type": "function", "name": "weather"}, reasoning={"effort": "none"}, background=False,
            include=["reasoning.encrypted_content", "message.output_text.logprobs"], truncation="disabled",
            parallel_tool_calls=False,
        ),
    )  # fmt: skip
    found = model.generation
    assert (found.sampling.max_tokens, found.sampling.temperature, found.sampling.top_p) == (9, 0.0, 0.5)
    assert (found.tools, found.tool_choice) == ((Tool("weather", "Now", {"type": "object"}, True),), "=weather")
    assert (found.format, found.think, found.parallel_calls, found.sampling.logprobs) == (schema, False, False, 3)
    assert (answer["tools"], answer["temperature"], answer["max_output_tokens"]) == ([TOOL], 0, 9)
    assert answer["text"]["format"]["schema"] == schema
    assert answer["tool_choice"] == {"type": "function", "name": "weather"}
    server.json(PATH, ask(text={"format": {"type": "json_object"}}))
    assert model.generation.format == {}


def test_log_probabilities(server: Live, model: Scripted) -> None:
    token = TokenLogprob("A", b"A", -0.5, (("A", b"A", -0.5),))
    model.steps = (Started(5), Text(0, "A", (token,)), Stopped(0, "stop"), Generated(Usage(5, 0, 1)))
    answer = server.json(PATH, ask(include=["message.output_text.logprobs"]))
    shown = {
        "token": "A",
        "logprob": -0.5,
        "bytes": [65],
        "top_logprobs": [{"token": "A", "logprob": -0.5, "bytes": [65]}],
    }
    assert answer["output"][0]["content"][0]["logprobs"] == [shown]
    assert model.generation.sampling.logprobs == 0
    found = dict(stream(server, top_logprobs=1))
    assert found["response.output_text.delta"]["logprobs"] == [shown]
    assert found["response.output_text.done"]["logprobs"] == [shown]


@pytest.mark.parametrize(
    ("rest", "param"),
    [
        ({"input": []}, "input"),
        ({"input": [{"role": "robot", "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user"}]}, "input[0].content"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0]"),
        ({"input": [{"type": "function_call", "call_id": "x"}]}, "input[0]"),
        ({"input": [{"type": "function_call_output", "call_id": "x", "output": "y"}]}, "input[0].call_id"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "http://x"}]}]},
            "input[0].content",
        ),
        ({"input": [{"role": "user", "content": "x", "colour": 1}]}, "input[0].colour"),
        ({"store": True}, "store"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"background": True}, "background"),
        ({"truncation": "auto"}, "truncation"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"tools": [{"type": "web_search"}]}, "tools"),
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"tools": [TOOL, TOOL]}, "tools"),
        ({"tool_choice": {"type": "web_search"}}, "tool_choice"),
        ({"text": {"format": {"type": "json_schema", "name": "x"}}}, "text"),
        ({"include": ["file_search_call.results"]}, "include"),
        ({"reasoning": {"effort": "very"}}, "reasoning"),
        ({"n": 2}, "n"),
        ({"metadata": {"a": {"b": 1}}}, "metadata"),
    ],
)
def test_what_is_wrong_is_refused_by_name(server: Live, model: Scripted, rest: dict[str, Any], param: str) -> None:
    asked = len(model.requests)
    status, answer = server.refusal(PATH, {**ask(), **rest})
    assert status == 400
    assert answer["error"]["param"] == param, answer
    assert len(model.requests) == asked
