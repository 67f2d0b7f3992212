"""Cohere: what is asked for by its own names, and its own client as the judge."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cohere
import msgspec
import pytest
from cohere.core.unchecked_base_model import construct_type
from cohere.types import AssistantChatMessageV2, ToolChatMessageV2, ToolV2, UserChatMessageV2
from cohere.v2.types import V2ChatResponse

from penstock.core.errors import NotOffered, ProviderFailed, ProviderRefused
from penstock.core.generation import Call, Generation, Message, Sampling, Tool
from penstock.fakes.cohere import FakeCohere
from penstock.fakes.speech import Said
from penstock.runtimes.remote.cohere import Cohere
from penstock.runtimes.remote.cohere_reader import CohereReader
from penstock.runtimes.remote.contract import RemoteModel
from tests.runtimes.remote.speaking import answered, heard, hi

MODEL = RemoteModel(provider="cohere", model="command-a-03-2025")
SCHEMA = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
WEATHER = Tool("weather", "Tells the weather", SCHEMA, strict=True)
CALL = Call("weather_0", "weather", '{"age": 1}')
LONG = Generation(
    messages=(
        Message("system", "Be kind."),
        Message("user", "Hi"),
        Message("assistant", calls=(CALL,), reasoning="I will look"),
        Message("tool", "sun", call_id="weather_0"),
        Message("assistant", "It is sunny."),
        Message("user", "Thanks"),
    ),
    sampling=Sampling(max_tokens=9, temperature=0.5, top_p=0.9, top_k=4, seed=7, stop=("END",), presence_penalty=0.1),
    tools=(WEATHER, Tool("now")),
    tool_choice="=weather",
    format=SCHEMA,
    think=False,
)


@pytest.fixture
def fake() -> Iterator[FakeCohere]:
    with FakeCohere(key="k") as found:
        yield found


def body_of(asked: Generation, model: RemoteModel = MODEL) -> Any:
    """What Cohere is asked."""
    return msgspec.json.decode(Cohere().generate(asked, model).body)


def test_a_whole_request() -> None:
    call = Cohere().generate(LONG, MODEL)
    assert call.url == "https://api.cohere.com/v2/chat"
    function = {"name": "weather", "description": "Tells the weather", "parameters": SCHEMA}
    calling = {"id": "weather_0", "type": "function", "function": {"name": "weather", "arguments": '{"age": 1}'}}
    assert body_of(LONG) == {
        "model": "command-a-03-2025",
        "stream": True,
        "messages": [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "tool_calls": [calling], "tool_plan": "I will look"},
            {"role": "tool", "tool_call_id": "weather_0", "content": "sun"},
            {"role": "assistant", "content": "It is sunny."},
            {"role": "user", "content": "Thanks"},
        ],
        "tools": [{"type": "function", "function": function}],
        "tool_choice": "REQUIRED",
        "strict_tools": True,
        "max_tokens": 9,
        "temperature": 0.5,
        "p": 0.9,
        "k": 4,
        "seed": 7,
        "stop_sequences": ["END"],
        "presence_penalty": 0.1,
        "thinking": {"type": "disabled"},
        "response_format": {"type": "json_object", "json_schema": SCHEMA},
    }


def test_requests_are_as_its_own_library_types_them() -> None:
    body = body_of(LONG)
    kinds = {"user": UserChatMessageV2, "assistant": AssistantChatMessageV2, "tool": ToolChatMessageV2}
    for message in body["messages"][1:]:
        typed = kinds[message["role"]].model_validate(message)
        assert typed.model_dump(exclude_none=True) == message
    assert ToolV2.model_validate(body["tools"][0]).model_dump(exclude_none=True) == body["tools"][0]


@pytest.mark.parametrize(("choice", "wire"), [("auto", None), ("required", "REQUIRED"), ("none", "NONE")])
def test_tool_choice(choice: str, wire: str | None) -> None:
    body = body_of(hi(tools=(WEATHER, Tool("now")), tool_choice=choice))
    assert body.get("tool_choice") == wire
    assert len(body["tools"]) == 2


def test_json_of_any_kind() -> None:
    assert body_of(hi(format={}))["response_format"] == {"type": "json_object"}


@pytest.mark.parametrize("asked", [hi(choices=2), hi(sampling=Sampling(logprobs=0)), hi(sampling=Sampling(min_p=0.1))])
def test_what_it_does_not_have(asked: Generation) -> None:
    with pytest.raises(NotOffered, match="Cohere"):
        Cohere().generate(asked, MODEL)


# --- replies


def test_a_stop_string_is_told_where_there_was_one(fake: FakeCohere) -> None:
    fake.said = Said(finish="STOP_SEQUENCE")
    model = msgspec.structs.replace(MODEL, url=fake.url)
    for stops, met in ((("END",), "END"), (("A", "B"), None)):
        found = answered(Cohere(), model, hi(sampling=Sampling(stop=stops)), {"authorization": "Bearer k"})
        assert (found.stopped[0].reason, found.stopped[0].stop) == ("stop", met)


def test_what_is_paid_for_is_counted() -> None:
    end = (
        b'{"type":"message-end","delta":{"finish_reason":"COMPLETE","usage":{"billed_units":{"input_tokens":3.0,'
        b'"output_tokens":2},"tokens":{"input_tokens":80,"output_tokens":2},"cached_tokens":16}}}'
    )
    found = heard(list(CohereReader(hi()).feed(end)))
    assert found.usage is not None
    assert (found.usage.prompt_tokens, found.usage.cached_tokens, found.usage.completion_tokens) == (3, 3, 2)


@pytest.mark.parametrize("reason", ["ERROR", "TIMEOUT"])
def test_errors_inside_a_stream(reason: str) -> None:
    end = b'{"type":"message-end","delta":{"error":"it broke","finish_reason":"%b"}}' % reason.encode()
    found = heard(list(CohereReader(hi()).feed(end)))
    assert isinstance(found.error, ProviderFailed)
    assert found.error.detail == "it broke"


def test_citations_and_what_is_new_are_passed_over() -> None:
    reader = CohereReader(hi())
    for kind in (b"citation-start", b"citation-end", b"content-end", b"debug", b"of-tomorrow"):
        message = b'{"type":"%b","index":0,"delta":{"message":{"citations":{"start":1}}}}' % kind
        assert list(reader.feed(message)) == []


def test_its_own_status_for_a_bad_token() -> None:
    assert isinstance(Cohere().failure(498, {}, b'{"message":"invalid token"}'), ProviderRefused)


# --- Cohere's own client reads what the fake sends


@pytest.fixture
def library(fake: FakeCohere) -> Iterator[cohere.ClientV2]:
    with cohere.ClientV2(api_key="k", base_url=fake.url.removesuffix("/v2")) as client:
        yield client


def test_its_own_client_reads_the_same_as_we_do(fake: FakeCohere, library: cohere.ClientV2) -> None:
    fake.said = Said("All is well.", reasoning="Let me see", cached_tokens=1)
    asked = body_of(hi())
    asked.pop("stream")
    texts, thoughts = "", ""
    for event in library.chat_stream(**asked):
        if event.type == "content-delta":
            texts += event.delta.message.content.text or ""
            thoughts += event.delta.message.content.thinking or ""
        elif event.type == "message-end":
            assert event.delta.usage.billed_units.input_tokens == 3
            assert event.delta.finish_reason == "COMPLETE"
    found = answered(Cohere(), msgspec.structs.replace(MODEL, url=fake.url), hi(), {"authorization": "Bearer k"})
    assert (texts, thoughts) == (found.text, found.thoughts) == ("All is well.", "Let me see")


def test_its_own_client_reads_calls(fake: FakeCohere, library: cohere.ClientV2) -> None:
    fake.said = Said(reasoning="I will look", calls=(("weather", '{"age": 3}'),))
    asked = body_of(hi(tools=(WEATHER,)))
    asked.pop("stream")
    whole = library.chat(**asked)
    assert whole.message.tool_plan == "I will look"
    events = list(library.chat_stream(**asked))
    begun = next(event for event in events if event.type == "tool-call-start")
    arguments = [
        event.delta.message.tool_calls.function.arguments for event in events if event.type == "tool-call-delta"
    ]
    found = answered(
        Cohere(), msgspec.structs.replace(MODEL, url=fake.url), hi(tools=(WEATHER,)), {"authorization": "Bearer k"}
    )
    assert found.thoughts == "I will look"
    told = whole.message.tool_calls[0]
    assert found.calls == [Call(told.id, told.function.name, told.function.arguments)]
    assert (begun.delta.message.tool_calls.id, "".join(arguments)) == (told.id, told.function.arguments)


def test_its_own_client_reads_embeddings(library: cohere.ClientV2) -> None:
    asked = msgspec.json.decode(Cohere().embed(["one", "two"], MODEL).body)
    found = library.embed(**asked)
    assert len(found.embeddings.float_) == 2
    assert found.meta.billed_units.input_tokens == 2


def test_a_whole_answer_is_as_its_own_library_types_it() -> None:
    body = {"id": "1", "finish_reason": "COMPLETE", "message": {"role": "assistant", "content": []}}
    typed = construct_type(type_=V2ChatResponse, object_=body)
    assert typed.finish_reason == "COMPLETE"
    found = heard(list(CohereReader(hi()).feed(msgspec.json.encode(body))))
    assert (found.text, found.stopped[0].reason) == ("", "stop")
