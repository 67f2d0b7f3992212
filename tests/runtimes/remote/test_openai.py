"""OpenAI's API and those who speak it: over real sockets, with OpenAI's own library as the judge of what is asked."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import numpy as np
import pydantic
import pytest
from openai.types.chat.completion_create_params import CompletionCreateParamsStreaming
from openai.types.create_embedding_response import CreateEmbeddingResponse

from penstock.core.errors import (
    ConfigError,
    ContentFiltered,
    ContextExceeded,
    NotAccepted,
    NotOffered,
    ProviderFailed,
    ProviderRefused,
    ProviderThrottled,
)
from penstock.core.generation import Call, Generation, Message, Sampling, Tool
from penstock.fakes import plans
from penstock.fakes.openai import FakeOpenAI
from penstock.fakes.speech import Said
from penstock.runtimes.remote.choice import PROVIDERS, dialect
from penstock.runtimes.remote.contract import Dialect, RemoteModel
from penstock.runtimes.remote.mistral import call_id
from penstock.runtimes.remote.openai_asking import is_strict
from penstock.runtimes.remote.openai_reading import OpenAIReader
from penstock.runtimes.remote.reading import Reading
from tests.runtimes.remote.speaking import Heard, answered, heard, hi, post

KEY = "sk-very-secret-0123456789"
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER = Tool("weather", "Tells the weather", SCHEMA, strict=True)
OSLO = ("weather", '{"city": "Oslo"}')
PARIS = ("weather", '{"city": "Paris"}')
LONG = Generation(
    messages=(
        Message("system", "Be kind."),
        Message("user", "Hi", name="Ann"),
        Message("assistant", "", (Call("call_1", "weather", '{"city": "Oslo"}'),), reasoning="hm"),
        Message("tool", "sun", call_id="call_1", name="weather"),
        Message("user", "Thanks"),
    ),
    sampling=Sampling(
        max_tokens=9,
        temperature=0.5,
        top_p=0.9,
        seed=4,
        presence_penalty=0.1,
        frequency_penalty=0.2,
        stop=("END",),
        logprobs=2,
        logit_bias={7: -1.0},
    ),
    choices=2,
    tools=(WEATHER, Tool("now")),
    tool_choice="=weather",
    parallel_calls=False,
    format=SCHEMA,
    think=True,
)


class Asker:
    """A dialect, and the fake that it talks to."""

    def __init__(self, name: str, fake: FakeOpenAI):
        self.name = name
        self.fake = fake
        self.dialect: Dialect = dialect(name)
        model = RemoteModel(provider=name, model="gpt-5-mini", url=fake.url.removesuffix("/v1"))
        self.model = self.dialect.settle(model)

    def ask(self, asked: Generation, **settings: Any) -> Heard:
        """The answer; the call carries the key."""
        model = msgspec.structs.replace(self.model, **settings)
        return answered(self.dialect, model, asked, self.dialect.authorize(KEY))

    @property
    def body(self) -> Any:
        """What the provider was asked last."""
        return self.fake.calls[-1].json


NAMES = ["openai", "azure", "mistral", "compatible"]


@pytest.fixture
def fake() -> Iterator[FakeOpenAI]:
    with FakeOpenAI(key=KEY) as found:
        yield found


@pytest.fixture(params=NAMES)
def asker(request: pytest.FixtureRequest, fake: FakeOpenAI) -> Asker:
    return Asker(request.param, fake)


@pytest.fixture
def openai(fake: FakeOpenAI) -> Asker:
    return Asker("openai", fake)


# --- answers


@pytest.mark.parametrize("stream", [True, False])
def test_a_text(asker: Asker, stream: bool) -> None:
    found = asker.ask(hi(), stream=stream)
    assert found.text == "You said: How are you?"
    assert found.stopped[0].reason == "stop"
    assert found.usage is not None
    if asker.name != "mistral" or not stream:
        assert (found.usage.prompt_tokens, found.usage.completion_tokens) == (3, 5)
    assert sum(getattr(event, "tokens", 0) or 0 for event in found.news[1:-1]) == found.usage.completion_tokens


@pytest.mark.parametrize("step", [1, 3, 1000, 1_000_000])
def test_bytes_may_be_cut_anywhere(asker: Asker, step: int) -> None:
    asker.fake.said = Said("Grüße 🌍 und mehr")
    headers = asker.dialect.authorize(KEY)
    assert answered(asker.dialect, asker.model, hi(), headers, step=step).text == "Grüße 🌍 und mehr"


@pytest.mark.parametrize("stream", [True, False])
def test_calls(asker: Asker, stream: bool) -> None:
    asker.fake.said = Said(calls=(OSLO, PARIS))
    found = asker.ask(hi(tools=(WEATHER,)), stream=stream)
    assert [(call.name, call.arguments) for call in found.calls] == [OSLO, PARIS]
    assert len({call.id for call in found.calls}) == 2
    assert found.stopped[0].reason == "tool_calls"


def test_calls_end_with_stop_where_one_was_named(openai: Asker) -> None:
    openai.fake.said = Said(calls=(OSLO,), finish="stop")
    assert openai.ask(hi(tools=(WEATHER,), tool_choice="=weather")).stopped[0].reason == "tool_calls"


def test_one_call_where_only_one_is_wanted(openai: Asker) -> None:
    openai.fake.said = Said(calls=(OSLO, PARIS))
    assert len(openai.ask(hi(tools=(WEATHER,), parallel_calls=False)).calls) == 1


def test_a_call_that_was_cut_short_is_not_told(openai: Asker) -> None:
    openai.fake.said = Said(calls=(OSLO, ("weather", '{"city": "Par')), finish="length")
    found = openai.ask(hi(tools=(WEATHER,)))
    assert len(found.calls) == 1
    assert found.stopped[0].reason == "length"


def test_a_call_that_is_no_json_is_an_error(openai: Asker) -> None:
    openai.fake.said = Said(calls=(("weather", '{"city": Oslo}'),))
    found = openai.ask(hi(tools=(WEATHER,)))
    assert (found.calls, type(found.error)) == ([], ProviderFailed)


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
@pytest.mark.parametrize("stream", [True, False])
def test_thoughts(fake: FakeOpenAI, field: str, stream: bool) -> None:
    fake.thoughts, fake.said = field, Said("Good.", reasoning="Let me see")
    found = Asker("compatible", fake).ask(hi(), stream=stream)
    assert (found.thoughts, found.text) == ("Let me see", "Good.")
    assert found.usage is not None
    assert found.usage.reasoning_tokens == 3


def test_thoughts_as_mistral_has_them() -> None:
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}, {"type": "text", "text": "Yes."}]
    reader = dialect("mistral").reader(hi())
    message = {"choices": [{"index": 0, "delta": {"content": parts}, "finish_reason": "stop"}]}
    found = heard([*reader.feed(msgspec.json.encode(message)), *reader.end()])
    assert (found.thoughts, found.text, found.error) == ("Hm.", "Yes.", None)


@pytest.mark.parametrize("stream", [True, False])
def test_several_answers_with_log_probabilities(openai: Asker, stream: bool) -> None:
    found = openai.ask(hi(choices=2, sampling=Sampling(logprobs=1)), stream=stream)
    assert found.texts == {0: "You said: How are you?", 1: "You said: How are you?"}
    assert sorted(found.stopped) == [0, 1]
    if stream:
        assert [token.token for token in found.logprobs[:2]] == ["You", " said:"]
        assert found.logprobs[0].top == (("You", b"You", -0.5),)


@pytest.mark.parametrize("stream", [True, False])
def test_a_plain_prompt_is_a_completion(fake: FakeOpenAI, stream: bool) -> None:
    asker = Asker("compatible", fake)
    found = asker.ask(Generation(prompt="Once", sampling=Sampling(max_tokens=5), echo=True), stream=stream)
    assert found.text == "You said: Once"
    assert fake.calls[-1].path == "/v1/completions"
    assert (asker.body["prompt"], asker.body["max_tokens"], asker.body["echo"]) == ("Once", 5, True)
    with pytest.raises(NotOffered):
        dialect("mistral").generate(Generation(prompt="Once"), asker.model)


def test_log_probabilities_of_a_completion() -> None:
    reader = dialect("compatible").reader(Generation(prompt="a", sampling=Sampling(logprobs=1)))
    columns = {
        "tokens": [" b", " c"],
        "token_logprobs": [-0.1, -99999.0],
        "top_logprobs": [{" b": -0.1}, None],
        "text_offset": [0, 2],
    }
    message = {"choices": [{"index": 0, "text": " b c", "logprobs": columns, "finish_reason": "stop"}]}
    found = heard([*reader.feed(msgspec.json.encode(message)), *reader.end()])
    assert [(token.token, token.logprob) for token in found.logprobs] == [(" b", -0.1), (" c", -9999.0)]


def test_tokens_that_the_provider_had_cached(asker: Asker) -> None:
    asker.fake.said = Said(cached_tokens=2)
    found = asker.ask(hi(), stream=False)
    assert found.usage is not None
    assert (found.usage.prompt_tokens, found.usage.cached_tokens) == (3, 2)


def test_tokens_by_estimate_where_nobody_tells(fake: FakeOpenAI) -> None:
    fake.usage = False
    found = Asker("compatible", fake).ask(hi())
    assert found.usage is not None
    assert 4 <= found.usage.prompt_tokens <= 12
    assert 4 <= found.usage.completion_tokens <= 12


@pytest.mark.parametrize("index", [-1, 1, 3])
def test_an_answer_that_nobody_asked_for(index: int) -> None:
    reader = dialect("compatible").reader(hi())
    news = [*reader.feed(b'{"choices": [{"index": 0, "delta": {"content": "hey"}}]}')]
    other = {"choices": [{"index": index, "delta": {"content": "extra"}, "finish_reason": "stop"}]}
    found = heard([*news, *reader.feed(msgspec.json.encode(other))])
    assert found.texts == {0: "hey"}
    assert isinstance(found.error, ProviderFailed)
    assert "was not asked for" in found.error.message


def test_calls_without_numbers_and_ids_as_some_servers_send_them() -> None:
    reader = dialect("compatible").reader(hi())
    calls = [{"function": {"name": "a", "arguments": {"x": 1}}}, {"function": {"name": "b", "arguments": "{}"}}]
    message = {"choices": [{"delta": {"tool_calls": calls}, "finish_reason": "stop"}]}
    found = heard([*reader.feed(msgspec.json.encode(message)), *reader.end()])
    assert [(call.name, call.arguments) for call in found.calls] == [("a", '{"x":1}'), ("b", "{}")]
    assert len({call.id for call in found.calls}) == 2


def test_calls_that_all_have_the_number_0() -> None:
    reader = dialect("compatible").reader(hi())
    news = []
    for name in ("a", "b"):
        call = {"index": 0, "id": f"call_{name}", "function": {"name": name, "arguments": "{}"}}
        news += reader.feed(msgspec.json.encode({"choices": [{"delta": {"tool_calls": [call]}}]}))
    news += reader.feed(b'{"choices": [{"delta": {}, "finish_reason": "tool_calls"}]}')
    found = heard([*news, *reader.feed(b"[DONE]")])
    assert [(call.id, call.name) for call in found.calls] == [("call_a", "a"), ("call_b", "b")]


@pytest.mark.parametrize(
    ("word", "reason"),
    [("length", "length"), ("model_length", "length"), ("eos_token", "stop"), ("stop_sequence", "stop"), ("", "stop")],
)
def test_ends_by_the_words_of_those_who_speak_it(fake: FakeOpenAI, word: str, reason: str) -> None:
    fake.said = Said(finish=word)
    assert Asker("compatible", fake).ask(hi()).stopped[0].reason == reason


@pytest.mark.parametrize("stream", [True, False])
def test_a_filter(asker: Asker, stream: bool) -> None:
    asker.fake.said = Said(finish="content_filter")
    assert isinstance(asker.ask(hi(), stream=stream).error, ContentFiltered)


def test_azures_filter_that_stands_before_the_model() -> None:
    body = b'{"error": {"message": "The response was filtered", "code": "content_filter", "status": 400}}'
    assert isinstance(dialect("azure").failure(400, {}, body), ContentFiltered)


def test_an_end_that_nobody_knows_is_not_invented(openai: Asker) -> None:
    openai.fake.said = Said(finish="SOMETHING_NEW")
    error = openai.ask(hi()).error
    assert isinstance(error, ProviderFailed)
    assert "SOMETHING_NEW" in error.message


# --- faults


@pytest.mark.parametrize("after", [0, 1, 4])
@pytest.mark.parametrize("how", [plans.cut, plans.short])
def test_an_answer_that_breaks_off(asker: Asker, after: int, how: Callable[[int], Any]) -> None:
    asker.fake.script(how(after))
    found = asker.ask(hi())
    assert isinstance(found.error, ProviderFailed)
    assert "You said: How are you?".startswith(found.text)


@pytest.mark.parametrize("after", [0, 2])
def test_garbage(asker: Asker, after: int) -> None:
    asker.fake.script(plans.garbage(after))
    assert isinstance(asker.ask(hi()).error, ProviderFailed)


@pytest.mark.parametrize("body", [b"{}", b"[]", b"null", b"7", b'"x"', b"\xff", b"", b'{"choices": 5}', b"[" * 5000])
def test_documents_that_are_none(asker: Asker, body: bytes) -> None:
    reader = asker.dialect.reader(hi())
    news = [*reader.feed(body), *reader.end()]
    assert isinstance(news[-1], ProviderFailed)
    assert list(reader.feed(body)) == list(reader.end()) == []


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"message": "overloaded", "type": "server_error", "code": None}, ProviderFailed),
        ({"message": "slow down", "code": 429}, ProviderThrottled),
        ("it broke", ProviderFailed),
        ({"message": "maximum context length is 4096 tokens", "code": 400}, ContextExceeded),
    ],
)
def test_an_error_in_the_middle_of_a_stream(error: Any, kind: type) -> None:
    reader = dialect("openai").reader(hi())
    first = reader.feed(b'{"choices": [{"index": 0, "delta": {"content": "Yes"}}]}')
    found = heard([*first, *reader.feed(msgspec.json.encode({"error": error}))])
    assert (found.text, type(found.error)) == ("Yes", kind)


def test_too_many_requests(asker: Asker) -> None:
    asker.fake.script(plans.throttled(17))
    error = asker.ask(hi()).error
    assert isinstance(error, ProviderThrottled)
    assert error.retry_after_s == 17


def test_a_key_that_is_refused_is_never_shown(asker: Asker) -> None:
    asker.fake.script(plans.unauthorized(KEY))
    first = asker.ask(hi()).error
    asker.fake.key = "another"
    for error in (first, asker.ask(hi()).error):
        assert isinstance(error, ProviderRefused)
        assert KEY not in f"{error.message} {error.detail}"


def test_a_request_that_the_provider_finds_wrong(asker: Asker) -> None:
    asker.fake.script(
        plans.wrong("temperature: must be at most 1"), plans.wrong("maximum context length is 8192 tokens")
    )
    error = asker.ask(hi()).error
    assert type(error) is NotAccepted
    assert "temperature: must be at most 1" in error.message
    assert isinstance(asker.ask(hi()).error, ContextExceeded)


@pytest.mark.parametrize(
    "body",
    [
        b'{"error": {"message": "it is wrong"}}',
        b'{"error": "it is wrong"}',
        b'{"message": "it is wrong"}',
        b'{"detail": [{"msg": "it is wrong"}]}',
        b'{"object": "error", "message": "it is wrong", "code": 400}',
    ],
)
def test_errors_as_others_write_them(body: bytes) -> None:
    assert "it is wrong" in dialect("compatible").failure(400, {}, body).message


# --- what is asked for


def test_a_whole_request_is_one_by_openais_own_types() -> None:
    model = RemoteModel(provider="openai", model="gpt-5-mini", extra={"service_tier": "flex"})
    call = dialect("openai").generate(LONG, model)
    assert call.url == "https://api.openai.com/v1/chat/completions"
    body = msgspec.json.decode(call.body)
    pydantic.TypeAdapter(CompletionCreateParamsStreaming).validate_python(body)
    assert set(body) <= set(CompletionCreateParamsStreaming.__annotations__) | {
        name for kind in CompletionCreateParamsStreaming.__orig_bases__ for name in kind.__annotations__
    }
    assert body["messages"] == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hi", "name": "Ann"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "sun"},
        {"role": "user", "content": "Thanks"},
    ]
    assert body["tool_choice"] == {"type": "function", "function": {"name": "weather"}}
    assert body["response_format"]["json_schema"] == {"name": "answer", "schema": SCHEMA, "strict": True}
    assert body["logit_bias"] == {"7": -1.0}
    settings = ("max_completion_tokens", "n", "seed", "stop", "logprobs", "top_logprobs", "parallel_tool_calls")
    assert [body[name] for name in settings] == [9, 2, 4, ["END"], True, 2, False]
    assert (body["reasoning_effort"], body["service_tier"]) == ("medium", "flex")
    assert body["stream_options"] == {"include_usage": True}


def test_only_what_is_set_is_sent(openai: Asker) -> None:
    openai.ask(hi(), stream=False)
    assert openai.body == {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "How are you?"}]}


def test_settings_that_a_provider_does_not_have_are_refused_not_dropped(asker: Asker) -> None:
    for sampling in (Sampling(top_k=3), Sampling(min_tokens=3), Sampling(stop_token_ids=(1,))):
        if asker.name == "compatible":
            assert asker.ask(hi(sampling=sampling)).error is None
            continue
        with pytest.raises(NotOffered) as refused:
            asker.dialect.generate(hi(sampling=sampling), asker.model)
        assert refused.value.param in ("top_k", "min_tokens", "stop_token_ids")


def test_what_vllm_has_beside_openais_settings(fake: FakeOpenAI) -> None:
    asker = Asker("compatible", fake)
    asked = Sampling(top_k=3, min_p=0.1, repetition_penalty=1.2, min_tokens=2, ignore_eos=True, stop_token_ids=(5,))
    asker.ask(hi(sampling=msgspec.structs.replace(asked, max_tokens=9)))
    names = ("max_tokens", "top_k", "min_p", "repetition_penalty", "min_tokens", "ignore_eos", "stop_token_ids")
    assert [asker.body[name] for name in names] == [9, 3, 0.1, 1.2, 2, True, [5]]


def test_mistrals_own_words(fake: FakeOpenAI) -> None:
    asker = Asker("mistral", fake)
    asked = msgspec.structs.replace(
        LONG, think=None, tool_choice="required", sampling=Sampling(seed=4, max_tokens=9), choices=1
    )
    asker.ask(asked)
    body = asker.body
    assert (body["random_seed"], body["tool_choice"], body["max_tokens"]) == (4, "any", 9)
    assert "stream_options" not in body
    assert "seed" not in body
    ids = body["messages"][2]["tool_calls"][0]["id"], body["messages"][3]["tool_call_id"]
    assert ids == (call_id("call_1"), call_id("call_1"))
    assert len(ids[0]) == 9
    assert call_id("abcDEF123") == "abcDEF123"


def test_azures_addresses(fake: FakeOpenAI) -> None:
    asker = Asker("azure", fake)
    asker.ask(hi())
    asker.ask(hi(), api_version="2024-10-21")
    assert [call.path for call in fake.calls] == [
        "/openai/v1/chat/completions",
        "/openai/deployments/gpt-5-mini/chat/completions?api-version=2024-10-21",
    ]
    assert fake.calls[0].headers["api-key"] == KEY
    assert "authorization" not in fake.calls[0].headers


def test_azures_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    azure, model = dialect("azure"), RemoteModel(provider="azure", model="mine")
    monkeypatch.delenv("AZURE_OPENAI_ENDPOINT", raising=False)
    with pytest.raises(ConfigError, match="AZURE_OPENAI_ENDPOINT"):
        azure.settle(model)
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://mine.openai.azure.com/")
    monkeypatch.setenv("OPENAI_API_VERSION", "2024-10-21")
    settled = azure.settle(model)
    url = azure.generate(hi(), settled).url
    assert url == "https://mine.openai.azure.com/openai/deployments/mine/chat/completions?api-version=2024-10-21"


def test_a_format(openai: Asker) -> None:
    openai.ask(hi(format={}))
    assert openai.body["response_format"] == {"type": "json_object"}
    openai.ask(hi(format={"type": "object", "properties": {"a": {"type": "string"}}}))
    assert openai.body["response_format"]["json_schema"]["strict"] is False


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        (SCHEMA, True),
        ({**SCHEMA, "required": []}, False),
        ({"type": "array", "items": SCHEMA}, True),
        ({"type": "array", "items": {"type": "object"}}, False),
        ({"anyOf": [SCHEMA, {"type": "null"}]}, True),
        ({"$defs": {"x": {"type": "object", "properties": {}}}, **SCHEMA}, False),
        ({"type": "string", "enum": [{"type": "object"}]}, True),
    ],
)
def test_which_schemas_openai_promises_to_follow(schema: dict[str, Any], strict: bool) -> None:
    assert is_strict(schema) is strict


# --- embeddings


@pytest.mark.parametrize("size", [0, 4])
def test_embeddings(asker: Asker, size: int) -> None:
    texts = ["one", "two words", "three more words"]
    model = msgspec.structs.replace(asker.model, dimensions=size, task="embedding")
    status, _, body = post(asker.dialect.embed(texts, model), asker.dialect.authorize(KEY))
    assert status == 200
    found, tokens = asker.dialect.embeddings(body, 3)
    wanted = 8 if asker.name in ("compatible", "mistral") else size or 8
    assert [len(row) for row in found] == [wanted] * 3
    assert tokens == 6
    with pytest.raises(ProviderFailed, match="3 embeddings for 4 texts"):
        asker.dialect.embeddings(body, 4)


def test_numbers_and_their_bytes_are_the_same(openai: Asker) -> None:
    answers = []
    for extra in ({}, {"encoding_format": "float"}):
        model = msgspec.structs.replace(openai.model, extra=extra)
        _, _, body = post(openai.dialect.embed(["a b c"], model), openai.dialect.authorize(KEY))
        CreateEmbeddingResponse.model_validate_json(body) if extra else None
        answers.append(np.array(openai.dialect.embeddings(body, 1)[0], np.float32))
    assert np.array_equal(*answers)


def test_embeddings_come_in_the_order_of_the_texts() -> None:
    data = [{"index": 1, "embedding": [2.0]}, {"index": 0, "embedding": [1.0]}]
    body = msgspec.json.encode({"data": data, "usage": {"prompt_tokens": 2, "total_tokens": 2}})
    assert dialect("openai").embeddings(body, 2) == ([[1.0], [2.0]], 2)


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"<html>",
        b'{"data": 1}',
        b'{"data": [{"embedding": "!!"}]}',
        b'{"data": [{"embedding": "' + base64.b64encode(b"abc") + b'"}]}',
        b'{"data": [{"embedding": [null]}]}',
    ],
)
def test_embeddings_that_are_none(body: bytes) -> None:
    with pytest.raises(ProviderFailed):
        dialect("openai").embeddings(body, 1)


def test_every_provider_has_a_dialect() -> None:
    for name in PROVIDERS:
        assert dialect(name).authorize("k") is not None
    with pytest.raises(ConfigError, match="did you mean 'openai'"):
        dialect("opneai")


WHOLE = {"object": "chat.completion", "usage": {"prompt_tokens": 9, "completion_tokens": 5}}
SAID = {"index": 0, "message": {"role": "assistant", "content": "Hello!"}, "finish_reason": "stop"}


@pytest.mark.parametrize(
    "document",
    [
        {**WHOLE, "choices": [SAID]},
        {**WHOLE, "choices": [{**SAID, "finish_reason": "length"}]},
        {**WHOLE, "choices": [{**SAID, "finish_reason": "tool_calls"}]},
        {**WHOLE, "choices": [{**SAID, "finish_reason": "content_filter"}]},
        {**WHOLE, "choices": [{**SAID, "finish_reason": None}]},
        {**WHOLE, "choices": [{**SAID, "message": {"content": ""}}]},
        {**WHOLE, "choices": [{**SAID, "message": {"content": "Hello!", "reasoning": "Hm."}}]},
        {**WHOLE, "choices": [{**SAID, "message": {"content": [{"type": "text", "text": "Hello!"}]}}]},
        {**WHOLE, "choices": [{**SAID, "index": 1}]},
        {**WHOLE, "choices": [{**SAID, "logprobs": {"content": [{"token": "Hello!", "logprob": -0.1}]}}]},
        {**WHOLE, "choices": [SAID, {**SAID, "index": 1}]},
        {**WHOLE, "choices": [SAID], "usage": None},
        {**WHOLE, "choices": [SAID], "error": {"message": "no"}},
        {**WHOLE, "choices": [SAID], "object": "error", "message": "no"},
        {**WHOLE, "choices": []},
    ],
)
def test_a_whole_answer_reads_the_same_on_the_short_way(document: Any) -> None:
    short, long = OpenAIReader("openai", hi()), OpenAIReader("openai", hi())
    text = msgspec.json.encode(document)
    found = [*short.feed(text), *short.end()]
    expected = [*Reading.feed(long, text), *long.end()]
    assert [shown(news) for news in found] == [shown(news) for news in expected]


def shown(news: Any) -> Any:
    return (type(news), str(news)) if isinstance(news, Exception) else news
