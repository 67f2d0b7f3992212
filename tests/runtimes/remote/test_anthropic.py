"""Anthropic: what is asked for by its own names, and its own client as the judge."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_type_hints

import anthropic
import msgspec
import pydantic
import pytest
from anthropic.types import Message as AnthropicMessage
from anthropic.types import (
    MessageCountTokensParams,
    OutputConfigParam,
    TextBlockParam,
    ToolChoiceToolParam,
    ToolParam,
    ToolResultBlockParam,
    ToolUseBlockParam,
    UserMessageParam,
)
from anthropic.types.message_create_params import MessageCreateParamsStreaming

from penstock.core.errors import NotAccepted, NotOffered, ProviderFailed, ProviderRefused, ProviderThrottled
from penstock.core.generation import Call, Generation, Message, Sampling, Started, Tool
from penstock.fakes.anthropic import FakeAnthropic
from penstock.fakes.speech import Said
from penstock.runtimes.remote.anthropic import Anthropic
from penstock.runtimes.remote.anthropic_reader import AnthropicReader
from penstock.runtimes.remote.claude import is_adaptive, version_of
from penstock.runtimes.remote.contract import RemoteModel
from tests.runtimes.remote.speaking import answered, heard, hi

MODEL = RemoteModel(provider="anthropic", model="claude-haiku-4-5", max_tokens=2048)
SCHEMA = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
WEATHER = Tool("weather", "Tells the weather", SCHEMA, strict=True)
CALL = Call("toolu_1", "weather", '{"age": 1}')
LONG = Generation(
    messages=(
        Message("system", "Be kind."),
        Message("user", "Hi"),
        Message("user", "there"),
        Message("assistant", "Let me see", (CALL,), reasoning="hm"),
        Message("tool", "sun", call_id="toolu_1"),
        Message("user", "Thanks"),
        Message("system", "Be short."),
    ),
    sampling=Sampling(max_tokens=9, temperature=0.5, top_p=0.9, top_k=4, stop=("END",)),
    tools=(WEATHER, Tool("now")),
    tool_choice="=weather",
    parallel_calls=False,
    format=SCHEMA,
)


@pytest.fixture
def fake() -> Iterator[FakeAnthropic]:
    with FakeAnthropic(key="k") as found:
        yield found


def body_of(asked: Generation, model: RemoteModel = MODEL) -> Any:
    """What Anthropic is asked."""
    return msgspec.json.decode(Anthropic().generate(asked, model).body)


def check(kind: Any, value: Any) -> None:
    """That something is as a type of Anthropic's own library says, and has no more."""
    pydantic.TypeAdapter(kind).validate_python(value)
    assert set(value) <= set(get_type_hints(kind))


def test_a_whole_request() -> None:
    call = Anthropic().generate(LONG, MODEL)
    assert call.url == "https://api.anthropic.com/v1/messages"
    assert call.headers == {"content-type": "application/json", "anthropic-version": "2023-06-01"}
    assert body_of(LONG) == {
        "model": "claude-haiku-4-5",
        "system": "Be kind.\n\nBe short.",
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Hi"}, {"type": "text", "text": "there"}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "text", "text": "Let me see"},
                    {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"age": 1}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "toolu_1", "content": "sun"},
                    {"type": "text", "text": "Thanks"},
                ],
            },
        ],
        "tools": [
            {"name": "weather", "description": "Tells the weather", "input_schema": SCHEMA, "strict": True},
            {"name": "now", "input_schema": {"type": "object"}},
        ],
        "tool_choice": {"type": "tool", "name": "weather", "disable_parallel_tool_use": True},
        "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}},
        "max_tokens": 9,
        "stream": True,
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 4,
        "stop_sequences": ["END"],
    }


def test_requests_are_as_its_own_library_types_them() -> None:
    body = body_of(LONG, msgspec.structs.replace(MODEL, extra={"service_tier": "auto"}))
    asked, answer, results = body["messages"]
    check(UserMessageParam, {"role": asked["role"], "content": ""})
    for block in asked["content"]:
        check(TextBlockParam, block)
    check(ToolUseBlockParam, answer["content"][1])
    check(ToolResultBlockParam, results["content"][0])
    for tool in body["tools"]:
        check(ToolParam, tool)
    check(ToolChoiceToolParam, body["tool_choice"])
    check(OutputConfigParam, body["output_config"])
    settings = {name: value for name, value in body.items() if name not in ("temperature", "top_p", "top_k")}
    check(MessageCreateParamsStreaming, settings | {"messages": [], "tools": [], "stop_sequences": []})
    counted = body_of(msgspec.structs.replace(LONG, count_only=True))
    check(MessageCountTokensParams, counted | {"messages": [], "tools": []})


def test_the_longest_answer_is_always_told() -> None:
    assert body_of(hi())["max_tokens"] == 2048


@pytest.mark.parametrize(
    ("choice", "parallel", "wire"),
    [
        ("auto", True, None),
        ("auto", False, {"type": "auto", "disable_parallel_tool_use": True}),
        ("required", True, {"type": "any"}),
        ("none", True, {"type": "none"}),
        ("none", False, {"type": "none"}),
        ("=weather", True, {"type": "tool", "name": "weather"}),
    ],
)
def test_tool_choice(choice: str, parallel: bool, wire: Any) -> None:
    body = body_of(hi(tools=(WEATHER,), tool_choice=choice, parallel_calls=parallel))
    assert body.get("tool_choice") == wire


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("claude-3-7-sonnet-20250219", (3, 7)),
        ("claude-sonnet-4-20250514", (4, 0)),
        ("claude-haiku-4-5-20251001", (4, 5)),
        ("claude-opus-4-8", (4, 8)),
        ("claude-sonnet-5", (5, 0)),
        ("us.anthropic.claude-sonnet-4-20250514-v1:0", (4, 0)),
        ("global.anthropic.claude-opus-4-6-v1", (4, 6)),
        ("claude-mythos-preview", None),
    ],
)
def test_the_version_in_a_name(name: str, version: tuple[int, int] | None) -> None:
    assert version_of(name) == version
    assert is_adaptive(name) == (version is None or version >= (4, 6))


def test_thinking_with_a_budget() -> None:
    assert "thinking" not in body_of(hi())
    assert body_of(hi(think=True))["thinking"] == {"type": "enabled", "budget_tokens": 1024}
    assert body_of(hi(think=False))["thinking"] == {"type": "disabled"}
    answering = (*hi().messages, Message("assistant", calls=(CALL,)), Message("tool", "1", call_id="toolu_1"))
    assert "thinking" not in body_of(Generation(messages=answering, think=True, tools=(WEATHER,)))
    with pytest.raises(NotOffered, match="1024"):
        body_of(hi(think=True, sampling=Sampling(max_tokens=100)))


def test_models_that_choose_how_much_to_think() -> None:
    model = msgspec.structs.replace(MODEL, model="claude-opus-5-5")
    asked = hi(think=True, sampling=Sampling(max_tokens=100))
    assert body_of(asked, model)["thinking"] == {"type": "adaptive", "display": "summarized"}
    own = msgspec.structs.replace(MODEL, extra={"thinking": {"type": "adaptive"}})
    assert body_of(hi(think=True), own)["thinking"] == {"type": "adaptive"}


def test_the_version_of_the_api_that_has_no_sampling(fake: FakeAnthropic) -> None:
    model = msgspec.structs.replace(MODEL, url=fake.url, api_version="2026-10-21")
    for sampling in (Sampling(temperature=0.2), Sampling(top_p=0.5), Sampling(top_k=3)):
        with pytest.raises(NotOffered, match="2026-10-21"):
            body_of(hi(sampling=sampling), model)
    found = answered(Anthropic(), model, hi(sampling=Sampling(temperature=1.0)), {"x-api-key": "k"})
    assert found.error is None
    assert fake.calls[-1].headers["anthropic-version"] == "2026-10-21"
    own = msgspec.structs.replace(model, extra={"temperature": 0.2})
    assert isinstance(answered(Anthropic(), own, hi(), {"x-api-key": "k"}).error, NotOffered)


def test_json_without_a_schema_is_refused() -> None:
    with pytest.raises(NotOffered, match="schema"):
        body_of(hi(format={}))


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("", "https://api.anthropic.com/v1/messages"),
        ("http://127.0.0.1:9", "http://127.0.0.1:9/v1/messages"),
        ("http://127.0.0.1:9/", "http://127.0.0.1:9/v1/messages"),
        ("https://proxy/anthropic/v1", "https://proxy/anthropic/v1/messages"),
    ],
)
def test_where_it_is(given: str, url: str) -> None:
    assert Anthropic().generate(hi(), msgspec.structs.replace(MODEL, url=given)).url == url


# --- replies


def test_the_start_tells_the_prompts_tokens() -> None:
    start = b'{"type":"message_start","message":{"usage":{"input_tokens":5,"cache_creation_input_tokens":7,'
    start += b'"cache_read_input_tokens":11,"output_tokens":1}}}'
    assert list(AnthropicReader().feed(start)) == [Started(23, 11)]


def test_what_is_not_known_is_passed_over() -> None:
    stream = [
        b'{"type":"message_start","message":{"usage":{"input_tokens":5,"output_tokens":1}}}',
        b'{"type":"something_new","index":{"a":1}}'.replace(b'{"a":1}', b"3"),
        b'{"type":"content_block_start","index":0,"content_block":{"type":"redacted_thinking","data":"x"}}',
        b'{"type":"content_block_stop","index":0}',
        b'{"type":"content_block_start","index":1,"content_block":{"type":"text","text":"A"}}',
        b'{"type":"content_block_delta","index":1,"delta":{"type":"citations_delta","citation":{}}}',
        b'{"type":"message_delta","delta":{"stop_reason":"stop_sequence","stop_sequence":"END"},"usage":{"output_tokens":4}}',
        b'{"type":"message_stop"}',
    ]
    reader = AnthropicReader()
    found = heard([event for message in stream for event in reader.feed(message)])
    assert (found.text, found.stopped[0].stop, found.stopped[0].reason) == ("A", "END", "stop")
    assert found.usage is not None
    assert (found.usage.prompt_tokens, found.usage.completion_tokens) == (5, 4)


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("overloaded_error", ProviderFailed),
        ("api_error", ProviderFailed),
        ("rate_limit_error", ProviderThrottled),
        ("authentication_error", ProviderRefused),
        ("invalid_request_error", NotAccepted),
        ("of_tomorrow", ProviderFailed),
    ],
)
def test_errors_inside_a_stream(kind: str, error: type[Exception]) -> None:
    with FakeAnthropic() as fake:
        fake.breaks = kind
        found = answered(Anthropic(), msgspec.structs.replace(MODEL, url=fake.url), hi())
    assert found.text == "You"
    assert type(found.error) is error


def test_overloaded_before_the_stream() -> None:
    error = Anthropic().failure(529, {"retry-after": "3"}, b'{"type":"error","error":{"type":"overloaded_error"}}')
    assert isinstance(error, ProviderFailed)
    assert error.retry_after_s == 3


# --- Anthropic's own client reads what the fake sends


@pytest.fixture
def library(fake: FakeAnthropic) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=fake.url.removesuffix("/v1"), api_key="k", max_retries=0) as client:
        yield client


def ours(fake: FakeAnthropic, asked: Generation) -> Any:
    return answered(Anthropic(), msgspec.structs.replace(MODEL, url=fake.url), asked, {"x-api-key": "k"})


@pytest.mark.parametrize("stream", [True, False])
def test_its_own_client_reads_the_same_as_we_do(
    fake: FakeAnthropic, library: anthropic.Anthropic, stream: bool
) -> None:
    fake.said = Said("All is well.", reasoning="Let me see", calls=(("weather", '{"age": 3}'),), cached_tokens=1)
    theirs = _theirs(library, body_of(hi(tools=(WEATHER,))), stream)
    found = ours(fake, hi(tools=(WEATHER,)))
    blocks = {block.type: block for block in theirs.content}
    assert blocks["text"].text == found.text
    assert blocks["thinking"].thinking == found.thoughts
    assert blocks["tool_use"].input == msgspec.json.decode(found.calls[0].arguments)
    assert (blocks["tool_use"].id, blocks["tool_use"].name) == (found.calls[0].id, found.calls[0].name)
    assert theirs.stop_reason == "tool_use"
    assert theirs.usage.input_tokens + theirs.usage.cache_read_input_tokens == found.usage.prompt_tokens
    assert theirs.usage.output_tokens == found.usage.completion_tokens


def _theirs(library: anthropic.Anthropic, body: Any, stream: bool) -> AnthropicMessage:
    body.pop("stream")
    if not stream:
        return library.messages.create(**body)
    with library.messages.stream(**body) as messages:
        return messages.get_final_message()


def test_its_own_client_counts_and_is_refused(fake: FakeAnthropic, library: anthropic.Anthropic) -> None:
    body = body_of(hi(count_only=True))
    assert library.messages.count_tokens(**body).input_tokens == 3
    fake.key = "another"
    with pytest.raises(anthropic.AuthenticationError):
        library.messages.count_tokens(**body)
