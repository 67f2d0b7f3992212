"""Gemini: what is asked for by its own names, and its own client as the judge where it is installed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from penstock.core.errors import (
    ContentFiltered,
    NotAccepted,
    NotOffered,
    PenstockError,
    ProviderFailed,
    ProviderRefused,
)
from penstock.core.generation import Call, Generated, Generation, Message, Sampling, Started, Stopped, Tool
from penstock.fakes.gemini import SIGNATURE, FakeGemini
from penstock.fakes.speech import Said
from penstock.runtimes.remote.contract import RemoteModel
from penstock.runtimes.remote.gemini import Gemini
from penstock.runtimes.remote.gemini_reader import GeminiReader
from penstock.runtimes.remote.gemini_turns import UNSIGNED
from tests.runtimes.remote.speaking import answered, heard, hi

MODEL = RemoteModel(provider="gemini", model="gemini-2.5-flash")
NEW = RemoteModel(provider="gemini", model="gemini-3-pro-preview")
SCHEMA = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
WEATHER = Tool("weather", "Tells the weather", SCHEMA)
CALL = Call("call_1", "weather", '{"age": 1}')
LONG = Generation(
    messages=(
        Message("system", "Be kind."),
        Message("user", "Hi"),
        Message("assistant", "Let me see", (CALL, Call("call_2", "now", ""))),
        Message("tool", '{"sky": "blue"}', call_id="call_1"),
        Message("tool", "[1]", call_id="call_2"),
        Message("user", "Thanks"),
    ),
    sampling=Sampling(
        max_tokens=9, temperature=0.5, top_p=0.9, top_k=4, seed=7, stop=("END",), frequency_penalty=0.1, logprobs=2
    ),
    choices=2,
    tools=(WEATHER, Tool("now")),
    tool_choice="=weather",
    format=SCHEMA,
    think=True,
)
HEADERS = {"x-goog-api-key": "k"}


@pytest.fixture
def fake() -> Iterator[FakeGemini]:
    with FakeGemini(key="k") as found:
        yield found


def body_of(asked: Generation, model: RemoteModel = MODEL) -> Any:
    """What Gemini is asked."""
    return msgspec.json.decode(Gemini().generate(asked, model).body)


def test_a_whole_request() -> None:
    call = Gemini().generate(LONG, MODEL)
    base = "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash"
    assert call.url == f"{base}:streamGenerateContent?alt=sse"
    assert body_of(LONG) == {
        "systemInstruction": {"parts": [{"text": "Be kind."}]},
        "contents": [
            {"role": "user", "parts": [{"text": "Hi"}]},
            {
                "role": "model",
                "parts": [
                    {"text": "Let me see"},
                    {"functionCall": {"name": "weather", "args": {"age": 1}}},
                    {"functionCall": {"name": "now", "args": {}}},
                ],
            },
            {
                "role": "user",
                "parts": [
                    {"functionResponse": {"name": "weather", "response": {"sky": "blue"}}},
                    {"functionResponse": {"name": "now", "response": {"result": [1]}}},
                    {"text": "Thanks"},
                ],
            },
        ],
        "tools": [
            {
                "functionDeclarations": [
                    {"name": "weather", "description": "Tells the weather", "parametersJsonSchema": SCHEMA},
                    {"name": "now"},
                ]
            }
        ],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["weather"]}},
        "generationConfig": {
            "candidateCount": 2,
            "maxOutputTokens": 9,
            "temperature": 0.5,
            "topP": 0.9,
            "topK": 4,
            "stopSequences": ["END"],
            "seed": 7,
            "frequencyPenalty": 0.1,
            "responseLogprobs": True,
            "logprobs": 2,
            "responseMimeType": "application/json",
            "responseJsonSchema": SCHEMA,
            "thinkingConfig": {"includeThoughts": True},
        },
    }


@pytest.mark.parametrize(
    ("url", "version", "wanted"),
    [
        ("", "v1", "https://generativelanguage.googleapis.com/v1/models/gemini-2.5-flash:countTokens"),
        ("http://127.0.0.1:9/", "", "http://127.0.0.1:9/v1beta/models/gemini-2.5-flash:countTokens"),
        (
            "https://aiplatform.googleapis.com/v1/publishers/google",
            "",
            "https://aiplatform.googleapis.com/v1/publishers/google/models/gemini-2.5-flash:countTokens",
        ),
    ],
)
def test_where_it_is(url: str, version: str, wanted: str) -> None:
    model = msgspec.structs.replace(MODEL, url=url, api_version=version)
    assert Gemini().generate(hi(count_only=True), model).url == wanted


def test_a_name_cannot_lead_elsewhere() -> None:
    call = Gemini().generate(hi(), msgspec.structs.replace(MODEL, model="x?key=1#y"))
    assert "/models/x%3Fkey%3D1%23y:stream" in call.url


@pytest.mark.parametrize(("choice", "mode"), [("auto", None), ("required", "ANY"), ("none", "NONE")])
def test_tool_choice(choice: str, mode: str | None) -> None:
    config = body_of(hi(tools=(WEATHER,), tool_choice=choice)).get("toolConfig")
    assert config == (None if mode is None else {"functionCallingConfig": {"mode": mode}})


def test_json_of_any_kind() -> None:
    assert body_of(hi(format={}))["generationConfig"] == {"responseMimeType": "application/json"}


def test_no_thoughts_where_none_are_wanted() -> None:
    assert body_of(hi(think=False))["generationConfig"] == {"thinkingConfig": {"thinkingBudget": 0}}
    assert body_of(hi(think=False), NEW)["generationConfig"] == {"thinkingConfig": {"thinkingLevel": "low"}}


def test_what_it_does_not_have() -> None:
    for asked in (hi(echo=True), hi(adapter="x"), hi(sampling=Sampling(min_p=0.2))):
        with pytest.raises(NotOffered, match="Gemini"):
            Gemini().generate(asked, MODEL)


# --- signatures of thoughts


def test_signatures_go_out_with_calls_and_come_back(fake: FakeGemini) -> None:
    fake.signs = True
    fake.said = Said(calls=(("weather", '{"age": 3}'), ("now", "{}")))
    model = msgspec.structs.replace(NEW, url=fake.url)
    calls = answered(Gemini(), model, hi(tools=LONG.tools), HEADERS).calls
    assert all(
        set(call.id) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") for call in calls
    )
    fake.said = Said("Sunny.")
    results = tuple(Message("tool", "sun", call_id=call.id) for call in calls)
    turns = (*hi().messages, Message("assistant", calls=tuple(calls)), *results)
    found = answered(Gemini(), model, Generation(messages=turns, tools=LONG.tools), HEADERS)
    assert (found.error, found.text) == (None, "Sunny.")
    sent = fake.calls[-1].json["contents"][1]["parts"]
    assert sent[0]["thoughtSignature"] == SIGNATURE.replace("+", "-").replace("/", "_")
    assert "thoughtSignature" not in sent[1]


def test_calls_that_another_model_made_say_so_where_it_matters() -> None:
    parts = body_of(LONG, NEW)["contents"][1]["parts"]
    assert [part.get("thoughtSignature") for part in parts] == [None, UNSIGNED, None]
    assert all("thoughtSignature" not in part for part in body_of(LONG)["contents"][1]["parts"])


# --- replies


def test_several_answers(fake: FakeGemini) -> None:
    found = answered(Gemini(), msgspec.structs.replace(MODEL, url=fake.url), hi(choices=3), HEADERS)
    assert found.texts == dict.fromkeys(range(3), "You said: How are you?")
    assert sorted(found.stopped) == [0, 1, 2]
    assert found.usage is not None
    assert found.usage.completion_tokens == 15


def test_logprobs(fake: FakeGemini) -> None:
    asked = hi(sampling=Sampling(logprobs=1))
    found = answered(Gemini(), msgspec.structs.replace(MODEL, url=fake.url), asked, HEADERS)
    assert "".join(token.token for token in found.logprobs) == found.text
    assert found.logprobs[0].logprob == -0.25
    assert found.logprobs[0].top == (("You", b"You", -0.25),)


def test_a_prompt_that_is_blocked(fake: FakeGemini) -> None:
    fake.blocks = "PROHIBITED_CONTENT"
    error = answered(Gemini(), msgspec.structs.replace(MODEL, url=fake.url), hi(), HEADERS).error
    assert isinstance(error, ContentFiltered)
    assert "PROHIBITED_CONTENT" in error.message


@pytest.mark.parametrize("reason", ["MALFORMED_FUNCTION_CALL", "OTHER", "MISSING_THOUGHT_SIGNATURE"])
def test_ends_that_are_no_answers(fake: FakeGemini, reason: str) -> None:
    fake.said = Said(finish=reason)
    error = answered(Gemini(), msgspec.structs.replace(MODEL, url=fake.url), hi(), HEADERS).error
    assert isinstance(error, ProviderFailed)


def test_thoughts_count_among_the_tokens() -> None:
    usage = b'{"promptTokenCount":7,"candidatesTokenCount":2,"thoughtsTokenCount":30,"cachedContentTokenCount":4}'
    reader = GeminiReader()
    news = [
        *reader.feed(b'{"candidates":[{"content":{"parts":[{"text":"A"}]}}],"usageMetadata":{"promptTokenCount":7}}'),
        *reader.feed(b'{"candidates":[{"finishReason":"STOP"}],"usageMetadata":%b}' % usage),
        *reader.end(),
    ]
    found = heard(news)
    assert found.usage is not None
    assert (found.usage.prompt_tokens, found.usage.cached_tokens) == (7, 4)
    assert (found.usage.completion_tokens, found.usage.reasoning_tokens) == (32, 30)
    assert [type(item) for item in news[-2:]] == [Stopped, Generated]
    assert news[0] == Started(7)


@pytest.mark.parametrize(
    ("code", "error"), [(503, ProviderFailed), (400, NotAccepted), (403, ProviderRefused), (500, ProviderFailed)]
)
def test_errors_inside_a_stream(code: int, error: type[PenstockError]) -> None:
    reader = GeminiReader()
    news = [
        *reader.feed(b'{"candidates":[{"content":{"parts":[{"text":"A"}]}}]}'),
        *reader.feed(b'{"error":{"code":%d,"message":"The model is overloaded."}}' % code),
    ]
    assert type(heard(news).error) is error


def test_an_error_in_a_list() -> None:
    body = b'[{"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}]'
    error = Gemini().failure(503, {}, body)
    assert error.detail == "The model is overloaded."


def test_more_answers_than_were_asked_for() -> None:
    error = heard(list(GeminiReader().feed(b'{"candidates":[{"index":5,"finishReason":"STOP"}]}'))).error
    assert isinstance(error, ProviderFailed)


# --- Google's own client reads what the fake sends


@pytest.fixture
def library(fake: FakeGemini) -> Iterator[Any]:
    genai = pytest.importorskip("google.genai", reason="google-genai is not installed")
    options = {"base_url": fake.url.removesuffix("/v1beta")}
    with genai.Client(api_key="k", http_options=options) as client:
        yield client


def test_its_own_client_reads_the_same_as_we_do(fake: FakeGemini, library: Any) -> None:
    fake.said = Said("All is well.", reasoning="Let me see", cached_tokens=1)
    parts = [
        part
        for chunk in library.models.generate_content_stream(model="gemini-2.5-flash", contents="How are you?")
        for part in chunk.candidates[0].content.parts
    ]
    found = answered(Gemini(), msgspec.structs.replace(MODEL, url=fake.url), hi(), HEADERS)
    assert "".join(part.text for part in parts if not part.thought) == found.text
    assert "".join(part.text for part in parts if part.thought) == found.thoughts
    whole = library.models.generate_content(model="gemini-2.5-flash", contents="How are you?")
    assert whole.usage_metadata.prompt_token_count == 3
    assert whole.candidates[0].finish_reason == "STOP"


def test_its_own_client_reads_calls_and_embeddings(fake: FakeGemini, library: Any) -> None:
    fake.said, fake.signs = Said(calls=(("weather", '{"age": 3}'),)), True
    whole = library.models.generate_content(model="gemini-2.5-flash", contents="Hi")
    assert whole.function_calls[0].args == {"age": 3}
    assert whole.candidates[0].content.parts[0].thought_signature
    found = library.models.embed_content(model="gemini-embedding-001", contents=["one", "two"])
    assert len(found.embeddings) == 2


def test_requests_are_as_its_own_library_types_them(library: Any) -> None:
    from google.genai import types

    body = body_of(LONG, NEW)
    for content in body["contents"]:
        types.Content.model_validate(content)
    for tool in body["tools"]:
        types.Tool.model_validate(tool)
    types.ToolConfig.model_validate(body["toolConfig"])
    types.GenerateContentConfig.model_validate(body["generationConfig"])
