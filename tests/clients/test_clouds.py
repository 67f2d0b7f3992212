"""openai's and anthropic's clients in front of a server whose models live at Anthropic, Google, Cohere and AWS."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import anthropic
import openai
import pytest

from penstock.fakes.anthropic import FakeAnthropic
from penstock.fakes.bedrock import ACCESS, SECRET, FakeBedrock
from penstock.fakes.cohere import FakeCohere
from penstock.fakes.gemini import FakeGemini
from penstock.fakes.plans import GOOD, cut, failing, throttled
from penstock.fakes.speech import Said
from tests.servers import Server, configured

KEY = "a-key-that-nobody-may-see"
ROUTE = "assistant"
MODELS = ("claude", "gem", "command", "aws")
TOOL: Any = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}
SAID: Any = [{"role": "user", "content": "How are you?"}]


class House(NamedTuple):
    """A server, and the clouds behind it."""

    server: Server
    claude: FakeAnthropic
    gem: FakeGemini
    command: FakeCohere
    aws: FakeBedrock


@pytest.fixture(scope="module")
def built() -> Iterator[House]:
    with (
        pytest.MonkeyPatch.context() as patch,
        FakeAnthropic(key=KEY) as claude,
        FakeGemini(key=KEY) as gem,
        FakeCohere(key=KEY) as command,
        FakeBedrock() as aws,
    ):
        for name in ("ANTHROPIC_API_KEY", "GEMINI_API_KEY", "CO_API_KEY"):
            patch.setenv(name, KEY)
        patch.delenv("AWS_BEARER_TOKEN_BEDROCK", raising=False)
        patch.setenv("AWS_ACCESS_KEY_ID", ACCESS)
        patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        models = {
            "claude": _model("anthropic:claude-haiku-4-5", claude.url),
            "gem": _model("gemini:gemini-3-pro-preview", gem.url),
            "command": _model("cohere:command-a-03-2025", command.url),
            "aws": _model("bedrock:eu.anthropic.claude-haiku-4-5-20251001-v1:0", aws.url, region="eu-central-1"),
            "vectors": _model("cohere:embed-v4.0", command.url, dimensions=8),
        }
        routes = {ROUTE: {"models": ["claude"], "fallback": ["gem"]}}
        with configured(models, routes=routes) as server:
            yield House(server, claude, gem, command, aws)
            assert KEY not in server.log()
            assert SECRET not in server.log()


def _model(source: str, url: str, **options: Any) -> dict[str, Any]:
    return {"source": source, "options": {"url": url, **options}}


@pytest.fixture
def house(built: House) -> Iterator[House]:
    yield built
    for fake in (built.claude, built.gem, built.command, built.aws):
        fake.plan, fake.said = GOOD, Said()
    built.gem.signs = False


@pytest.fixture
def client(house: House) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"http://127.0.0.1:{house.server.port}/v1", api_key="x", max_retries=0) as client:
        yield client


@pytest.fixture
def anthropics(house: House) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=f"http://127.0.0.1:{house.server.port}", api_key="x", max_retries=0) as client:
        yield client


@pytest.mark.parametrize("model", MODELS)
def test_chats(client: openai.OpenAI, model: str) -> None:
    whole = client.chat.completions.create(model=model, messages=SAID)
    assert whole.choices[0].message.content == "You said: How are you?"
    assert whole.usage is not None
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (3, 5)
    chunks = list(client.chat.completions.create(model=model, messages=SAID, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == (
        "You said: How are you?"
    )


@pytest.mark.parametrize("model", MODELS)
def test_tools_and_back(house: House, client: openai.OpenAI, model: str) -> None:
    house.gem.signs = True
    fake = getattr(house, model)
    fake.said = Said(calls=(("weather", '{"city":"Oslo"}'), ("weather", '{"city":"Rome"}')))
    called = client.chat.completions.create(model=model, messages=SAID, tools=[TOOL]).choices[0]
    assert called.finish_reason == "tool_calls"
    calls = called.message.tool_calls or []
    assert [json.loads(call.function.arguments)["city"] for call in calls] == ["Oslo", "Rome"]
    results = [{"role": "tool", "tool_call_id": call.id, "content": "sun"} for call in calls]
    fake.said = Said("Sunny.")
    turns = [*SAID, called.message.model_dump(exclude_none=True), *results]
    answer = client.chat.completions.create(model=model, messages=turns, tools=[TOOL])
    assert answer.choices[0].message.content == "Sunny."


@pytest.mark.parametrize("model", MODELS)
def test_anthropics_client(anthropics: anthropic.Anthropic, model: str) -> None:
    with anthropics.messages.stream(model=model, max_tokens=50, messages=SAID) as stream:
        message = stream.get_final_message()
    assert message.content[0].text == "You said: How are you?"
    assert message.usage.output_tokens == 5
    assert anthropics.messages.count_tokens(model=model, messages=SAID).input_tokens > 0


@pytest.mark.parametrize("model", MODELS)
def test_a_wrong_key_is_a_bad_gateway(house: House, client: openai.OpenAI, model: str) -> None:
    fake = getattr(house, model)
    fake.script(failing(403))
    with pytest.raises(openai.APIStatusError) as refused:
        client.chat.completions.create(model=model, messages=SAID)
    assert refused.value.status_code == 502
    assert KEY not in refused.value.response.text


def test_embeddings(client: openai.OpenAI) -> None:
    found = client.embeddings.create(model="vectors", input=[f"text {index}" for index in range(100)])
    assert [len(one.embedding) for one in found.data] == [8] * 100


# --- a route over two clouds


def answered_by(client: openai.OpenAI, **rest: Any) -> tuple[str, str]:
    raw = client.chat.completions.with_raw_response.create(model=ROUTE, messages=SAID, **rest)
    return raw.headers["x-penstock-model"], raw.parse().choices[0].message.content or ""


def test_another_cloud_answers(house: House, client: openai.OpenAI) -> None:
    assert answered_by(client) == ("claude@1", "You said: How are you?")
    for plan in (failing(500), throttled(0), cut(0)):
        house.claude.plan = plan
        assert answered_by(client) == ("gem@1", "You said: How are you?")
        house.claude.plan = GOOD


def test_what_one_does_not_offer_another_does(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="Anthropic has no seed"):
        client.chat.completions.create(model="claude", messages=SAID, seed=7)
    assert answered_by(client, seed=7)[0] == "gem@1"


def test_what_one_filters_another_may_answer(house: House, client: openai.OpenAI) -> None:
    house.claude.said = Said("", finish="refusal")
    assert answered_by(client)[0] == "gem@1"


def test_nothing_is_said_twice(house: House, client: openai.OpenAI) -> None:
    house.claude.script(cut(4))
    texts: list[str] = []
    with pytest.raises(openai.APIError):
        _listen(client, texts)
    assert "You said: How are you?".startswith("".join(texts))
    assert "".join(texts)


def _listen(client: openai.OpenAI, texts: list[str]) -> None:
    for chunk in client.chat.completions.create(model=ROUTE, messages=SAID, stream=True):
        texts += [choice.delta.content or "" for choice in chunk.choices]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("parts", [1, 2, 3])
def test_a_stream_that_breaks_before_its_first_word_is_begun_again_elsewhere(
    house: House, client: openai.OpenAI, parts: int, stream: bool
) -> None:
    house.claude.plan, before = cut(parts), len(house.gem.calls)
    texts: list[str] = []
    if stream:
        _listen(client, texts)
    else:
        texts.append(answered_by(client)[1])
    assert "".join(texts) == "You said: How are you?"
    assert len(house.gem.calls) == before + 1
