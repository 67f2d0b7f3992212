"""The official clients through a route with fallback: providers that fail before and in the middle of an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import anthropic
import openai
import pytest

from penstock.fakes import plans
from penstock.fakes.anthropic import FakeAnthropic
from penstock.fakes.openai import FakeOpenAI
from penstock.fakes.speech import Said
from tests import servers

TEXT = "one two three four five"
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "parameters": {"type": "object", "properties": {"town": {"type": "string"}}},
        },
    }
]


class House:
    """A route over two providers, and both clients of it."""

    def __init__(self, url: str, first: FakeOpenAI, second: FakeAnthropic):
        self.first, self.second = first, second
        self.openai = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
        self.anthropic = anthropic.Anthropic(base_url=url, api_key="none", max_retries=0)
        self.aio = openai.AsyncOpenAI

    def answered_by(self) -> str:
        """The model that answers now."""
        asked = self.openai.chat.completions.with_raw_response
        answer = asked.create(model="gpt-4o", messages=[{"role": "user", "content": TEXT}])
        return answer.headers["x-penstock-model"]

    def streamed(self) -> Iterator[str]:
        """What the openai client hears of a stream."""
        chunks = self.openai.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": TEXT}], stream=True
        )
        for chunk in chunks:
            if chunk.choices and chunk.choices[0].delta.content:
                yield chunk.choices[0].delta.content


@pytest.fixture(scope="module")
def made() -> Iterator[House]:
    with FakeOpenAI() as first, FakeAnthropic() as second, pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANTHROPIC_API_KEY", "sk-ant-test")
        patch.setenv("NO_PROXY", "127.0.0.1")
        models = {
            "first": {"source": f"{first.url}#gpt", "options": {"idle_timeout_ms": 500}},
            "second": {"source": "anthropic:claude", "options": {"url": second.url}},
        }
        routes = {"assistant": {"models": ["first", "second"]}}
        settings = {"routes": routes, "aliases": {"gpt-4o": "assistant"}, "breaker": {"eject_s": 0.1, "probe_s": 0.1}}
        with servers.configured(models, **settings) as server:
            yield House(f"http://127.0.0.1:{server.port}", first, second)


@pytest.fixture
def house(made: House) -> House:
    made.first.plan = made.second.plan = plans.GOOD
    made.second.said = Said()
    made.first._script.clear()
    servers.eventually(lambda: made.answered_by() == "first@1", "the first is not asked again")
    return made


@pytest.mark.parametrize("plan", [plans.GOOD, plans.failing(500), plans.throttled(1), plans.cut(), plans.html()])
def test_the_openai_client_gets_its_answer(house: House, plan: plans.Plan) -> None:
    house.first.plan = plan
    answer = house.openai.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": TEXT}])
    assert answer.choices[0].message.content == f"You said: {TEXT}"
    assert answer.usage is not None
    assert answer.usage.total_tokens > 0
    assert "".join(house.streamed()) == f"You said: {TEXT}"


def test_the_openai_client_hears_of_a_break_in_the_middle(house: House) -> None:
    house.first.script(plans.cut(after=4))
    heard: list[str] = []

    def listen() -> None:
        for text in house.streamed():
            heard.append(text)

    with pytest.raises(openai.APIError, match="provider broke"):
        listen()
    assert heard
    assert f"You said: {TEXT}".startswith("".join(heard))
    assert "".join(house.streamed()) == f"You said: {TEXT}"


def test_a_whole_answer_survives_a_break_in_the_middle(house: House) -> None:
    house.first.script(plans.cut(after=3))
    answer = house.openai.chat.completions.with_raw_response.create(
        model="gpt-4o", messages=[{"role": "user", "content": TEXT}]
    )
    assert answer.parse().choices[0].message.content == f"You said: {TEXT}"
    assert answer.headers["x-penstock-tries"] in ("2", "3")


def test_the_async_openai_client(house: House) -> None:
    house.first.plan = plans.failing(503)

    async def ask() -> str | None:
        async with house.aio(base_url=str(house.openai.base_url), api_key="none", max_retries=0) as client:
            answer = await client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": TEXT}])
            return answer.choices[0].message.content

    assert asyncio.run(ask()) == f"You said: {TEXT}"


def test_tools_through_the_fallback(house: House) -> None:
    house.first.plan, house.second.said = plans.failing(500), Said(calls=[("get_weather", '{"town": "Ambrel"}')])
    answer = house.openai.chat.completions.create(
        model="gpt-4o",
        messages=[{"role": "user", "content": "What is the weather?"}],
        tools=TOOLS,  # type: ignore[arg-type]
        tool_choice="required",
    )
    calls = answer.choices[0].message.tool_calls
    assert calls
    assert calls[0].function.name == "get_weather"  # type: ignore[union-attr]


@pytest.mark.parametrize("plan", [plans.GOOD, plans.failing(500), plans.cut()])
def test_the_anthropic_client_gets_its_answer(house: House, plan: plans.Plan) -> None:
    house.first.plan = plan
    answer = house.anthropic.messages.create(
        model="assistant", max_tokens=100, messages=[{"role": "user", "content": TEXT}]
    )
    assert answer.content[0].text == f"You said: {TEXT}"  # type: ignore[union-attr]
    with house.anthropic.messages.stream(
        model="assistant", max_tokens=100, messages=[{"role": "user", "content": TEXT}]
    ) as stream:
        assert "".join(stream.text_stream) == f"You said: {TEXT}"


def test_the_anthropic_client_hears_of_a_break_in_the_middle(house: House) -> None:
    house.first.script(plans.cut(after=4))
    heard: list[str] = []

    def listen() -> None:
        with house.anthropic.messages.stream(
            model="assistant", max_tokens=100, messages=[{"role": "user", "content": TEXT}]
        ) as stream:
            for text in stream.text_stream:
                heard.append(text)

    with pytest.raises(anthropic.APIStatusError, match="provider"):
        listen()
    assert f"You said: {TEXT}".startswith("".join(heard))


def test_all_down_is_a_503_that_the_clients_know(house: House) -> None:
    house.first.plan = house.second.plan = plans.failing(500)
    with pytest.raises(openai.InternalServerError) as told:
        list(house.streamed())
    assert told.value.status_code == 503
    assert "retry-after" in told.value.response.headers
