"""What holds for every cloud's dialect: the same answers, the same ends, the same errors."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec
import pytest

from penstock.core.errors import (
    BadInput,
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
from penstock.fakes.anthropic import FakeAnthropic
from penstock.fakes.bedrock import ACCESS, SECRET, FakeBedrock
from penstock.fakes.cohere import FakeCohere
from penstock.fakes.gemini import FakeGemini
from penstock.fakes.plans import cut, failing, garbage, html, short, throttled, unauthorized, wrong
from penstock.fakes.speech import Said
from penstock.runtimes.remote.bedrock_signing import AwsSigner
from penstock.runtimes.remote.choice import dialect
from penstock.runtimes.remote.contract import Dialect, RemoteModel
from tests.runtimes.remote.speaking import Heard, answered, hi, post

KEY = "sk-very-secret-0123456789"
WEATHER = Tool("weather", "Tells the weather", {"type": "object", "properties": {"city": {"type": "string"}}})
OSLO = ("weather", '{"city": "Oslo"}')
PARIS = ("weather", '{"city": "Paris"}')


class Cloud(NamedTuple):
    """A provider: its name, its fake, a model of it, and the words of its own."""

    name: str
    fake: Callable[..., Any]
    model: str
    cut_short: str
    filter: str


CLOUDS = [
    Cloud("anthropic", FakeAnthropic, "claude-haiku-4-5", "max_tokens", "refusal"),
    Cloud("gemini", FakeGemini, "gemini-2.5-flash", "MAX_TOKENS", "SAFETY"),
    Cloud("cohere", FakeCohere, "command-a-03-2025", "MAX_TOKENS", "ERROR_TOXIC"),
    Cloud("bedrock", FakeBedrock, "us.anthropic.claude-sonnet-4-20250514-v1:0", "max_tokens", "content_filtered"),
]


class Asker:
    """A dialect, and the fake that it talks to."""

    def __init__(self, cloud: Cloud, fake: Any):
        self.cloud = cloud
        self.fake = fake
        self.dialect: Dialect = dialect(cloud.name)
        self.model = RemoteModel(provider=cloud.name, model=cloud.model, url=fake.url, region="eu-central-1")

    def ask(self, asked: Generation, **settings: Any) -> Heard:
        """The answer; the call carries the key."""
        model = msgspec.structs.replace(self.model, **settings)
        return answered(self.dialect, model, asked, self.dialect.authorize(KEY))

    @property
    def body(self) -> Any:
        """What the provider was asked last."""
        return self.fake.calls[-1].json


@pytest.fixture(params=CLOUDS, ids=[cloud.name for cloud in CLOUDS])
def asker(request: pytest.FixtureRequest) -> Iterator[Asker]:
    cloud: Cloud = request.param
    with cloud.fake(key=KEY) as fake:
        yield Asker(cloud, fake)


@pytest.mark.parametrize("stream", [True, False])
def test_a_text(asker: Asker, stream: bool) -> None:
    found = asker.ask(hi(), stream=stream)
    assert found.text == "You said: How are you?"
    assert found.stopped[0].reason == "stop"
    assert found.usage is not None
    assert (found.usage.prompt_tokens, found.usage.completion_tokens) == (3, 5)
    assert sum(getattr(event, "tokens", 0) or 0 for event in found.news[1:-1]) == 5


@pytest.mark.parametrize("step", [1, 3, 1000, 1_000_000])
def test_bytes_may_be_cut_anywhere(asker: Asker, step: int) -> None:
    asker.fake.said = Said("Grüße 🌍 und mehr")
    headers = asker.dialect.authorize(KEY)
    assert answered(asker.dialect, asker.model, hi(), headers, step=step).text == "Grüße 🌍 und mehr"


def test_a_stream_comes_piece_by_piece(asker: Asker) -> None:
    found = asker.ask(hi())
    assert [event.text for event in found.news if hasattr(event, "text")] == ["You", " said:", " How", " are", " you?"]


@pytest.mark.parametrize("stream", [True, False])
def test_calls(asker: Asker, stream: bool) -> None:
    asker.fake.said = Said(calls=(OSLO, PARIS))
    found = asker.ask(hi(tools=(WEATHER,)), stream=stream)
    assert [(call.name, msgspec.json.decode(call.arguments)) for call in found.calls] == [
        ("weather", {"city": "Oslo"}),
        ("weather", {"city": "Paris"}),
    ]
    assert len({call.id for call in found.calls}) == 2
    assert all(call.id for call in found.calls)
    assert found.stopped[0].reason == "tool_calls"


def test_one_call_where_only_one_is_wanted(asker: Asker) -> None:
    asker.fake.said = Said(calls=(OSLO, PARIS))
    found = asker.ask(hi(tools=(WEATHER,), parallel_calls=False))
    assert [call.name for call in found.calls] == ["weather"]


@pytest.mark.parametrize("stream", [True, False])
def test_a_call_without_arguments(asker: Asker, stream: bool) -> None:
    asker.fake.said = Said(calls=(("now", "{}"),))
    assert asker.ask(hi(tools=(Tool("now"),)), stream=stream).calls[0].arguments == "{}"


@pytest.mark.parametrize("name", ["anthropic", "cohere", "bedrock"])
def test_a_call_that_was_cut_short_is_not_told(name: str) -> None:
    cloud = next(cloud for cloud in CLOUDS if cloud.name == name)
    said = Said(calls=(OSLO, ("weather", '{"city": "Par')), finish=cloud.cut_short)
    with cloud.fake(key=KEY, said=said) as fake:
        found = Asker(cloud, fake).ask(hi(tools=(WEATHER,)))
    assert len(found.calls) == 1
    assert found.stopped[0].reason == "length"


@pytest.mark.parametrize("name", ["anthropic", "cohere", "bedrock"])
def test_a_call_that_is_no_json_ends_the_answer_with_an_error(name: str) -> None:
    cloud = next(cloud for cloud in CLOUDS if cloud.name == name)
    with cloud.fake(key=KEY, said=Said(calls=(("weather", '{"city": Oslo}'),))) as fake:
        found = Asker(cloud, fake).ask(hi(tools=(WEATHER,)))
    assert found.calls == []
    assert isinstance(found.error, ProviderFailed)


def test_the_results_of_calls_go_back(asker: Asker) -> None:
    asker.fake.said = Said(calls=(OSLO, PARIS))
    calls = asker.ask(hi(tools=(WEATHER,))).calls
    asker.fake.said = Said("Rain and sun.")
    results = (
        Message("tool", '{"sky": "rain"}', call_id=calls[0].id),
        Message("tool", "sun", call_id=calls[1].id, name="weather"),
    )
    asked = Generation(messages=(*hi().messages, Message("assistant", "Wait.", tuple(calls)), *results))
    found = asker.ask(msgspec.structs.replace(asked, tools=(WEATHER,)))
    assert (found.error, found.text) == (None, "Rain and sun.")


@pytest.mark.parametrize("stream", [True, False])
def test_thoughts(asker: Asker, stream: bool) -> None:
    asker.fake.said = Said("Good.", reasoning="Let me see")
    found = asker.ask(hi(think=True), stream=stream)
    assert (found.thoughts, found.text) == ("Let me see", "Good.")


def test_tokens_that_the_provider_had_cached(asker: Asker) -> None:
    asker.fake.said = Said(cached_tokens=2)
    found = asker.ask(hi())
    assert found.usage is not None
    assert (found.usage.prompt_tokens, found.usage.cached_tokens) == (3, 2)


def test_an_answer_that_met_its_longest(asker: Asker) -> None:
    asker.fake.said = Said(finish=asker.cloud.cut_short)
    assert asker.ask(hi(sampling=Sampling(max_tokens=5))).stopped[0].reason == "length"


@pytest.mark.parametrize("stream", [True, False])
def test_a_filter(asker: Asker, stream: bool) -> None:
    asker.fake.said = Said(finish=asker.cloud.filter)
    found = asker.ask(hi(), stream=stream)
    assert isinstance(found.error, ContentFiltered)
    assert not found.stopped


def test_an_end_that_nobody_knows_is_not_invented(asker: Asker) -> None:
    asker.fake.said = Said(finish="SOMETHING_NEW")
    error = asker.ask(hi()).error
    assert isinstance(error, ProviderFailed)
    assert "SOMETHING_NEW" in error.message


# --- faults


@pytest.mark.parametrize("after", [0, 1, 4])
@pytest.mark.parametrize("how", [cut, short])
def test_an_answer_that_breaks_off(asker: Asker, after: int, how: Callable[[int], Any]) -> None:
    asker.fake.script(how(after))
    found = asker.ask(hi())
    assert isinstance(found.error, ProviderFailed)
    assert "You said: How are you?".startswith(found.text)


@pytest.mark.parametrize("after", [0, 2])
def test_garbage(asker: Asker, after: int) -> None:
    asker.fake.script(garbage(after))
    assert isinstance(asker.ask(hi()).error, ProviderFailed)


@pytest.mark.parametrize("stream", [True, False])
def test_a_page_for_people(asker: Asker, stream: bool) -> None:
    asker.fake.script(html())
    assert isinstance(asker.ask(hi(), stream=stream).error, ProviderFailed)


@pytest.mark.parametrize("body", [b"{}", b"[]", b"null", b"7", b'"x"', b"\xff", b"", b'{"type": 5}', b"[" * 5000])
def test_documents_that_are_none(asker: Asker, body: bytes) -> None:
    reader = asker.dialect.reader(hi())
    news = [*reader.feed(body), *reader.end()]
    assert isinstance(news[-1], ProviderFailed)
    assert list(reader.feed(body)) == list(reader.end()) == []


def test_too_many_requests(asker: Asker) -> None:
    asker.fake.retry = "17s"
    asker.fake.script(throttled(17))
    error = asker.ask(hi()).error
    assert isinstance(error, ProviderThrottled)
    assert error.retry_after_s == 17


def test_a_key_that_is_refused_is_never_shown(asker: Asker) -> None:
    asker.fake.script(unauthorized(KEY))
    first = asker.ask(hi()).error
    asker.fake.key = "another"
    second = asker.ask(hi()).error
    for error in (first, second):
        assert isinstance(error, ProviderRefused)
        assert KEY not in f"{error.message} {error.detail}"


def test_faults_of_the_provider(asker: Asker) -> None:
    asker.fake.script(failing(500), failing(503))
    for status in (500, 503):
        error = asker.ask(hi()).error
        assert type(error) is ProviderFailed
        assert str(status) in error.message


def test_a_request_that_the_provider_finds_wrong(asker: Asker) -> None:
    asker.fake.script(wrong("temperature: must be at most 1"))
    error = asker.ask(hi()).error
    assert type(error) is NotAccepted
    assert "temperature: must be at most 1" in error.message


@pytest.mark.parametrize(
    "words",
    [
        "prompt is too long: 208310 tokens > 200000 maximum",
        "input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000",
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
        "too many tokens: total number of tokens in the prompt cannot exceed 128000",
        "Input is too long for requested model.",
    ],
)
def test_a_prompt_that_is_too_long(asker: Asker, words: str) -> None:
    asker.fake.script(wrong(words))
    error = asker.ask(hi()).error
    assert isinstance(error, ContextExceeded)
    assert words in error.message


def test_a_model_that_the_provider_does_not_know(asker: Asker) -> None:
    asker.fake.script(wrong("no such model", 404))
    assert isinstance(asker.ask(hi()).error, ProviderRefused)


# --- what is asked for


def test_settings_that_a_provider_does_not_have_are_refused_not_dropped(asker: Asker) -> None:
    for sampling in (Sampling(logit_bias={1: 2.0}), Sampling(min_tokens=3), Sampling(stop_token_ids=(1,))):
        with pytest.raises(NotOffered) as refused:
            asker.dialect.generate(hi(sampling=sampling), asker.model)
        assert refused.value.param in ("logit_bias", "min_tokens", "stop_token_ids")


def test_token_ids_are_refused_and_a_text_is_a_users(asker: Asker) -> None:
    with pytest.raises(NotOffered):
        asker.dialect.generate(Generation(prompt=(1, 2)), asker.model)
    assert asker.ask(Generation(prompt="Hello there")).text == "You said: Hello there"


def test_an_empty_conversation_is_refused(asker: Asker) -> None:
    with pytest.raises(BadInput, match="empty"):
        asker.dialect.generate(Generation(messages=(Message("system", "Be kind."), Message("user", ""))), asker.model)


def test_turns_without_anything_in_them_are_left_out(asker: Asker) -> None:
    turns = (Message("user", "Hi"), Message("assistant", ""), Message("user", "How are you?"))
    assert asker.ask(Generation(messages=(Message("system", "Be kind."), *turns))).error is None


def test_fields_of_ones_own(asker: Asker) -> None:
    asker.ask(hi(), extra={"thinking": {"type": "disabled"}, "generationConfig": {"topK": 3}})
    assert asker.body["thinking"] == {"type": "disabled"}
    assert asker.body["generationConfig"]["topK"] == 3


def test_calls_of_other_models_in_the_conversation(asker: Asker) -> None:
    call = Call("call_abc", "weather", '{"city": "Oslo"}')
    turns = (*hi().messages, Message("assistant", calls=(call,)), Message("tool", "rain", call_id="call_abc"))
    assert asker.ask(Generation(messages=turns, tools=(WEATHER,))).error is None


@pytest.mark.parametrize(
    "id", ["functions.weather:0", "call_abc-sig-" + "A" * 3000, "x" * 200, "call_" + "a1" * 12, "é" * 30]
)
def test_ids_of_calls_that_others_gave(asker: Asker, id: str) -> None:
    """OpenAI takes 40 characters, Bedrock 64; Anthropic and Bedrock take few signs."""
    calls = (Call(id, "weather", "{}"), Call(f"2{id}", "weather", "{}"))
    results = (Message("tool", "rain", call_id=id), Message("tool", "sun", call_id=f"2{id}"))
    asked = Generation(messages=(*hi().messages, Message("assistant", calls=calls), *results), tools=(WEATHER,))
    assert asker.ask(asked).error is None
    if asker.cloud.name in ("anthropic", "bedrock"):
        field = "tool_use_id" if asker.cloud.name == "anthropic" else "toolUseId"
        told = re.findall(f'"{field}":"([^"]*)"', asker.fake.calls[-1].body.decode())
        assert told
        assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", one) for one in told)
    assert len(asker.fake.calls[-1].body) < 9000


def test_a_call_with_broken_arguments_in_the_conversation(asker: Asker) -> None:
    if asker.cloud.name == "cohere":
        pytest.skip("Cohere takes the arguments as text")
    turns = (
        *hi().messages,
        Message("assistant", calls=(Call("c", "weather", "[1]"),)),
        Message("tool", "x", call_id="c"),
    )
    with pytest.raises(BadInput, match="arguments"):
        asker.dialect.generate(Generation(messages=turns), asker.model)


def test_counting(asker: Asker) -> None:
    asked = hi(count_only=True, think=True)
    if not asker.dialect.counts(asker.model):
        pytest.skip("has no call that counts")
    found = asker.ask(asked)
    assert found.started is not None
    assert found.started.tokens == ()
    assert found.started.prompt_tokens == 3
    assert found.usage is not None
    assert found.usage.completion_tokens == 0


# --- embeddings


@pytest.mark.parametrize(
    ("name", "model", "count"),
    [
        ("gemini", "gemini-embedding-001", 3),
        ("cohere", "embed-v4.0", 3),
        ("bedrock", "cohere.embed-multilingual-v3", 3),
        ("bedrock", "amazon.titan-embed-text-v2:0", 1),
    ],
)
def test_embeddings(name: str, model: str, count: int) -> None:
    cloud = next(cloud for cloud in CLOUDS if cloud.name == name)
    texts = ["one", "two words", "three more words"][:count]
    with cloud.fake(key=KEY) as fake:
        asker = Asker(cloud, fake)
        for size in (0, 4):
            settings = msgspec.structs.replace(asker.model, model=model, dimensions=size)
            assert asker.dialect.texts_at_once(settings) >= count
            status, _, body = post(asker.dialect.embed(texts, settings), asker.dialect.authorize(KEY))
            assert status == 200
            found, _ = asker.dialect.embeddings(body, count)
            assert [len(row) for row in found] == [size or 8] * count
            assert len({tuple(row) for row in found}) == count
            with pytest.raises(ProviderFailed):
                asker.dialect.embeddings(body, count + 1)
        for wrong_body in (b"{}", b"<html>", b'{"embeddings": 1}'):
            with pytest.raises(ProviderFailed):
                asker.dialect.embeddings(wrong_body, count)


def test_a_region_is_for_bedrock(asker: Asker) -> None:
    if asker.cloud.name == "bedrock":
        pytest.skip("has regions")
    with pytest.raises(ConfigError, match="region is for Bedrock"):
        asker.dialect.settle(asker.model)
    plain = msgspec.structs.replace(asker.model, region="")
    assert asker.dialect.settle(plain) == plain


def test_anthropic_has_no_embeddings() -> None:
    model = RemoteModel(provider="anthropic", model="x", task="embedding")
    with pytest.raises(ConfigError, match="no embeddings"):
        dialect("anthropic").settle(model)
    with pytest.raises(NotOffered):
        dialect("anthropic").embed(["x"], model)


def test_bedrock_with_signatures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    with FakeBedrock() as fake:
        asker = Asker(CLOUDS[3], fake)
        call = asker.dialect.generate(hi(), asker.model)
        assert call.sign == "aws"
        signed = dict(AwsSigner(asker.model).headers(call))
        assert answered(asker.dialect, asker.model, hi(), signed).text == "You said: How are you?"
        other = call.body.replace(b"How", b"Why")
        status, _, _ = post(msgspec.structs.replace(call, body=other), signed)
        assert status == 403
