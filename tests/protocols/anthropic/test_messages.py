"""/v1/messages on the wire: what it asks for, what it answers, streamed and whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from penstock.core.clock import system_clock
from penstock.core.errors import ContextExceeded, Overloaded, WorkerLost
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
    Tool,
    Usage,
)
from penstock.protocols.anthropic.door import Anthropic
from tests.protocols.scripted import HELLO, Live, Scripted, live, llm

ASK: dict[str, Any] = {"model": "tiny", "max_tokens": 16, "messages": [{"role": "user", "content": "hi"}]}
SCHEMA = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}
TOOLS = [{"name": "double", "description": "Doubles.", "input_schema": SCHEMA}, {"name": "now", "input_schema": {}}]
CALLED = [
    *ASK["messages"],
    {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "now", "input": {}}]},
]
SOURCE = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
IMAGE = {"type": "image", "source": SOURCE, "cache_control": {"type": "ephemeral"}}
DOCUMENT = {"type": "document", "source": {**SOURCE, "media_type": "application/pdf"}, "title": "t"}
REDACTED = {"type": "redacted_thinking", "data": "EmwKAhgBEgy3va3pzix/LafPsn4a"}
EVERYTHING = (
    Started(9, 4),
    Reasoning(0, "hm"),
    Reasoning(0, "m"),
    Text(0, "Let me "),
    Text(0, "see."),
    CallStarted(0, 0, "call_a", "double"),
    CallArguments(0, 0, '{"x": '),
    CallArguments(0, 0, "4}"),
    CallStarted(0, 1, "call_b", "now"),
    CallArguments(0, 1, "{}"),
    Stopped(0, "tool_calls"),
    Generated(Usage(9, 4, 20, 2)),
)


@pytest.fixture(scope="module")
def model() -> Scripted:
    return Scripted()


@pytest.fixture(scope="module")
def served(model: Scripted) -> Iterator[Live]:
    def mount(routes: Any, models: Any) -> None:
        Anthropic(model, models, system_clock).mount(routes)

    with live(mount, llm(), llm("other")) as doors:
        yield doors


@pytest.fixture(autouse=True)
def _hello(model: Scripted) -> None:
    model.steps = HELLO


def result(*content: dict[str, Any]) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": "t", "content": list(content)}


def ask(**changes: Any) -> dict[str, Any]:
    return {name: value for name, value in {**ASK, **changes}.items() if value is not None}


def events(raw: bytes) -> list[dict[str, Any]]:
    """The events of a stream; every event's name is the type inside it."""
    found = []
    for part in raw.decode().strip().split("\n\n"):
        name, data = part.split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    return found


def stream(served: Live, **changes: Any) -> list[dict[str, Any]]:
    status, headers, raw = served.ask("POST", "/v1/messages", ask(stream=True, **changes))
    assert status == 200
    assert headers["content-type"].startswith("text/event-stream")
    return events(raw)


# --- answers


def test_a_whole_answer(served: Live) -> None:
    status, headers, raw = served.ask("POST", "/v1/messages", ASK)
    message = json.loads(raw)
    assert status == 200
    assert headers["request-id"] == headers["x-request-id"]
    assert message.pop("id").startswith("msg_")
    assert message == {
        "type": "message",
        "role": "assistant",
        "model": "tiny",
        "content": [{"type": "text", "text": "Hello 🚲"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 3,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 2,
            "output_tokens": 3,
        },
    }


def test_a_stream_of_text(served: Live) -> None:
    found = stream(served)
    kinds = [event["type"] for event in found]
    delta = "content_block_delta"
    assert kinds == [
        "message_start",
        "content_block_start",
        delta,
        delta,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    start = found[0]["message"]
    assert (start["content"], start["stop_reason"], start["usage"]["input_tokens"]) == ([], None, 3)
    assert found[-2]["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}
    assert found[-2]["usage"]["output_tokens"] == 3


def test_thoughts_text_and_calls_are_blocks_in_their_order(served: Live, model: Scripted) -> None:
    model.steps = EVERYTHING
    message = served.json("/v1/messages", ask(tools=TOOLS))
    assert message["content"] == [
        {"type": "thinking", "thinking": "hmm", "signature": ""},
        {"type": "text", "text": "Let me see."},
        {"type": "tool_use", "id": "call_a", "name": "double", "input": {"x": 4}},
        {"type": "tool_use", "id": "call_b", "name": "now", "input": {}},
    ]
    assert message["stop_reason"] == "tool_use"
    assert message["usage"]["output_tokens_details"] == {"thinking_tokens": 2}


def test_a_stream_is_the_whole_answer(served: Live, model: Scripted) -> None:
    model.steps = EVERYTHING
    found = stream(served, tools=TOOLS)
    blocks: dict[int, dict[str, Any]] = {}
    open_block = None
    for event in found:
        if event["type"] == "content_block_start":
            assert open_block is None
            open_block = event["index"]
            blocks[open_block] = {**event["content_block"], "json": ""}
        elif event["type"] == "content_block_delta":
            assert event["index"] == open_block
            for field, value in event["delta"].items():
                if field in ("text", "thinking", "signature"):
                    blocks[event["index"]][field] += value
                elif field == "partial_json":
                    blocks[event["index"]]["json"] += value
        elif event["type"] == "content_block_stop":
            assert event["index"] == open_block
            open_block = None
    for block in blocks.values():
        if text := block.pop("json"):
            block["input"] = json.loads(text)
    message = served.json("/v1/messages", ask(tools=TOOLS))
    assert list(blocks.values()) == message["content"]
    assert found[-2]["delta"]["stop_reason"] == message["stop_reason"]
    assert found[-2]["usage"] == message["usage"]
    assert sum(event["type"] == "message_stop" for event in found) == 1


def test_thoughts_may_be_left_out(served: Live, model: Scripted) -> None:
    model.steps = EVERYTHING
    message = served.json("/v1/messages", ask(thinking={"type": "adaptive", "display": "omitted"}))
    assert message["content"][0] == {"type": "thinking", "thinking": "", "signature": ""}
    assert model.generation.think is None


@pytest.mark.parametrize(
    ("stopped", "reason", "sequence"),
    [
        (Stopped(0, "length"), "max_tokens", None),
        (Stopped(0, "stop", "END"), "stop_sequence", "END"),
        (Stopped(0, "stop"), "end_turn", None),
    ],
)
def test_why_it_stopped(served: Live, model: Scripted, stopped: Stopped, reason: str, sequence: str | None) -> None:
    model.steps = (Started(5), stopped, Generated(Usage(5, 0, 1)))
    message = served.json("/v1/messages", ASK)
    assert (message["stop_reason"], message["stop_sequence"]) == (reason, sequence)
    assert message["content"] == []


def test_empty_events_open_no_block(served: Live, model: Scripted) -> None:
    model.steps = (Started(1), Text(0, ""), Reasoning(0, ""), Stopped(0, "stop"), Generated(Usage(1, 0, 1)))
    assert served.json("/v1/messages", ASK)["content"] == []


def test_tokens_are_counted_without_generating(served: Live, model: Scripted) -> None:
    model.steps = (Started(41, 7), Generated(Usage(41, 7)))
    counting = ask(max_tokens=None, tools=TOOLS, system="Be brief.")
    assert served.json("/v1/messages/count_tokens", counting) == {"input_tokens": 41}
    assert model.generation.count_only
    assert [tool.name for tool in model.generation.tools] == ["double", "now"]
    status, body = served.refusal("/v1/messages/count_tokens", ASK)
    assert (status, body["error"]["type"]) == (400, "invalid_request_error")
    assert "max_tokens" in body["error"]["message"]


# --- what is asked for


def test_settings_reach_the_model(served: Live, model: Scripted) -> None:
    settings = {"temperature": 0.5, "top_p": 0.9, "top_k": 40, "stop_sequences": ["END"], "metadata": {"user_id": "u"}}
    served.json("/v1/messages", ask(**settings, service_tier="auto", thinking={"type": "disabled"}))
    generation = model.generation
    assert generation.sampling == Sampling(max_tokens=16, temperature=0.5, top_p=0.9, top_k=40, stop=("END",))
    assert generation.think is False
    assert not generation.count_only


def test_a_conversation_with_tools_in_our_words(served: Live, model: Scripted) -> None:
    cached = {"cache_control": {"type": "ephemeral"}}
    blocks = [
        REDACTED,
        {"type": "thinking", "thinking": "4?", "signature": "s"},
        REDACTED,
        {"type": "text", "text": "I double.", "citations": None},
        {"type": "tool_use", "id": "t1", "name": "double", "input": {"x": 4}},
        {"type": "tool_use", "id": "t2", "name": "now", "input": {}},
    ]
    results = [
        {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "8"}]},
        {"type": "tool_result", "tool_use_id": "t2", "content": "broken clock", "is_error": True},
        {"type": "text", "text": "And now?", **cached},
    ]
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"role": "user", "content": "c"},
        {"role": "assistant", "content": blocks},
        {"role": "user", "content": results},
    ]
    system = [{"type": "text", "text": "Be brief.", **cached}, {"type": "text", "text": "Be kind."}]
    served.json("/v1/messages", ask(system=system, messages=messages, tools=TOOLS))
    calls = (Call("t1", "double", '{"x":4}'), Call("t2", "now", "{}"))
    assert model.generation.messages == (
        Message("system", "Be brief.\nBe kind."),
        Message("user", "a\nb\nc"),
        Message("assistant", "I double.", calls, reasoning="4?"),
        Message("tool", "8", call_id="t1", name="double"),
        Message("tool", "Error: broken clock", call_id="t2", name="now"),
        Message("user", "And now?"),
    )
    assert model.generation.tools == (Tool("double", "Doubles.", SCHEMA), Tool("now"))


@pytest.mark.parametrize(
    ("choice", "expected", "parallel"),
    [
        ({"type": "auto"}, "auto", True),
        ({"type": "any", "disable_parallel_tool_use": True}, "required", False),
        ({"type": "tool", "name": "now"}, "=now", True),
        ({"type": "none"}, "none", True),
    ],
)
def test_tool_choice(served: Live, model: Scripted, choice: dict[str, Any], expected: str, parallel: bool) -> None:
    served.json("/v1/messages", ask(tools=TOOLS, tool_choice=choice))
    assert (model.generation.tool_choice, model.generation.parallel_calls) == (expected, parallel)


def test_a_schema_for_the_answer(served: Live, model: Scripted) -> None:
    served.json("/v1/messages", ask(output_config={"format": {"type": "json_schema", "schema": SCHEMA}}))
    assert model.generation.format == SCHEMA


# --- refusals


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"max_tokens": None}, "max_tokens is missing"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 10**18}, "max_tokens"),
        ({"temperature": -1}, "temperature"),
        ({"temperature": 3}, "temperature"),
        ({"top_p": 1.5}, "top_p"),
        ({"stop_sequences": [""]}, r"stop_sequences[0] is empty"),
        ({"stop_sequences": ["a"] * 17}, "stop_sequences has 17 texts"),
        ({"messages": []}, "messages is empty"),
        ({"messages": [{"role": "user", "content": None}]}, r"messages[0].content"),
        ({"messages": [{"role": "bot", "content": "a"}]}, r"messages[0].role"),
        ({"messages": [{"role": "user", "content": []}]}, r"messages[0].content is empty"),
        (
            {"messages": [{"role": "user", "content": [IMAGE]}]},
            "messages[0].content[0] is an image: models here read text",
        ),
        ({"messages": [{"role": "user", "content": [DOCUMENT]}]}, "messages[0].content[0] is a document"),
        (
            {"messages": [*CALLED, {"role": "user", "content": [result(IMAGE)]}]},
            "messages[2].content[0].content[0] is an",
        ),
        ({"messages": [{"role": "user", "content": [REDACTED]}]}, "only the assistant's"),
        ({"messages": [*ASK["messages"], {"role": "assistant", "content": "He"}]}, "last message is the assistant's"),
        (
            {"messages": [{"role": "user", "content": [{"type": "tool_use", "id": "a", "name": "b", "input": {}}]}]},
            "only",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "x"}]}]},
            "answers no tool_use",
        ),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "web_search_20250305"),
        ({"tools": [{"name": "a b", "input_schema": {}}]}, "name"),
        ({"tools": [{"name": "a"}]}, "input_schema is missing"),
        ({"tools": [TOOLS[0], TOOLS[0]]}, "names must differ"),
        ({"tool_choice": {"type": "tool", "name": "x"}, "tools": TOOLS}, "double, now"),
        ({"tool_choice": {"type": "any"}}, "needs tools"),
        ({"tool_choice": {"type": "maybe"}}, "tool_choice"),
        ({"chat_template": "{{ x }}"}, "unknown field 'chat_template'"),
        ({"mcp_servers": [{}]}, "mcp_servers is not offered"),
        ({"output_config": {"effort": "enormous"}}, "output_config"),
        ({"timeout_ms": -1}, "timeout_ms"),
    ],
)
def test_what_is_wrong_is_named(served: Live, model: Scripted, changes: dict[str, Any], says: str) -> None:
    asked = len(model.requests)
    body = {**ASK, **changes}
    if changes.get("max_tokens", 1) is None:
        del body["max_tokens"]
    status, answer = served.refusal("/v1/messages", body)
    assert (status, answer["type"], answer["error"]["type"]) == (400, "error", "invalid_request_error")
    assert says in answer["error"]["message"]
    assert answer["request_id"]
    assert len(model.requests) == asked


def test_an_unknown_model(served: Live) -> None:
    status, answer = served.refusal("/v1/messages", ask(model="huge"))
    assert (status, answer["error"]["type"], answer["error"]["code"]) == (404, "not_found_error", "unknown_model")


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (ContextExceeded("300 tokens and 16 more are over 256"), 400, "invalid_request_error"),
        (Overloaded("full", retry_after_s=7), 503, "overloaded_error"),
    ],
)
def test_an_error_before_the_stream_has_a_status(
    served: Live, model: Scripted, error: Any, status: int, kind: str
) -> None:
    model.steps = (error,)
    found, headers, raw = served.ask("POST", "/v1/messages", ask(stream=True))
    assert (found, json.loads(raw)["error"]["type"]) == (status, kind)
    assert headers.get("retry-after") == ("7" if status == 503 else None)


def test_an_error_within_a_stream_is_its_last_event(served: Live, model: Scripted) -> None:
    model.steps = (Started(5), Text(0, "He"), WorkerLost("the worker died"))
    found = stream(served)
    assert [event["type"] for event in found[-2:]] == ["content_block_delta", "error"]
    assert found[-1]["error"] == {"type": "overloaded_error", "message": "the worker died", "code": "worker_lost"}
    assert found[-1]["request_id"]
    assert not any(event["type"] == "message_stop" for event in found)


def test_a_silent_model_is_heard(served: Live, model: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.protocols.anthropic.door.IDLE_S", 0.05)
    model.steps = (Started(5), 0.3, *HELLO[1:])
    kinds = [event["type"] for event in stream(served)]
    assert kinds[0] == "message_start"
    assert "ping" in kinds
    assert kinds[-1] == "message_stop"
