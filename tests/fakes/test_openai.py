"""The fake of OpenAI's API, with OpenAI's own client as the judge of what it answers."""

from __future__ import annotations

import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from penstock.fakes import plans
from penstock.fakes.openai import FakeOpenAI
from penstock.fakes.plans import Plan
from penstock.fakes.speech import Said

QUESTION: Any = [{"role": "user", "content": "How are you?"}]
TOOL: Any = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


@pytest.fixture
def fake() -> Iterator[FakeOpenAI]:
    with FakeOpenAI(key="k") as found:
        yield found


@pytest.fixture
def client(fake: FakeOpenAI) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=fake.url, api_key="k", max_retries=0, timeout=5) as found:
        yield found


def test_a_chat(client: openai.OpenAI, fake: FakeOpenAI) -> None:
    whole = client.chat.completions.create(model="m", messages=QUESTION)
    assert whole.choices[0].message.content == "You said: How are you?"
    assert whole.usage is not None
    assert whole.usage.total_tokens == 8
    chunks = list(
        client.chat.completions.create(
            model="m", messages=QUESTION, stream=True, stream_options={"include_usage": True}, logprobs=True
        )
    )
    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert text == "You said: How are you?"
    assert chunks[-1].usage == whole.usage
    assert fake.calls[-1].json["messages"] == QUESTION


def test_calls(client: openai.OpenAI, fake: FakeOpenAI) -> None:
    fake.said = Said(calls=(("weather", '{"city": "Oslo"}'),))
    with client.chat.completions.stream(model="m", messages=QUESTION, tools=[TOOL]) as stream:
        final = stream.get_final_completion()
    calls = final.choices[0].message.tool_calls
    assert calls is not None
    assert (calls[0].function.name, calls[0].function.arguments) == ("weather", '{"city": "Oslo"}')
    assert final.choices[0].finish_reason == "tool_calls"


def test_completions_and_embeddings(client: openai.OpenAI) -> None:
    assert client.completions.create(model="m", prompt="Once").choices[0].text == "You said: Once"
    pieces = client.completions.create(model="m", prompt="Once", stream=True)
    assert "".join(piece.choices[0].text for piece in pieces) == "You said: Once"
    numbers = client.embeddings.create(model="m", input=["a", "b"], encoding_format="float").data
    packed = client.embeddings.create(model="m", input=["a", "b"]).data
    assert packed[1].embedding == pytest.approx(numbers[1].embedding)


@pytest.mark.parametrize(
    ("plan", "kind"),
    [
        (plans.throttled(), openai.RateLimitError),
        (plans.failing(), openai.InternalServerError),
        (plans.unauthorized("k"), openai.AuthenticationError),
        (plans.wrong("no"), openai.BadRequestError),
        (plans.cut(), openai.APIConnectionError),
        (plans.Plan(wait_s=60), openai.APITimeoutError),
    ],
)
def test_faults(client: openai.OpenAI, fake: FakeOpenAI, plan: Plan, kind: type[Exception]) -> None:
    fake.script(plan)
    asked = client.with_options(timeout=0.5).chat.completions
    with pytest.raises(kind):
        asked.create(model="m", messages=QUESTION)
    assert asked.create(model="m", messages=QUESTION)


def test_another_key_is_refused(fake: FakeOpenAI) -> None:
    with (
        openai.OpenAI(base_url=fake.url, api_key="other", max_retries=0) as client,
        pytest.raises(openai.AuthenticationError),
    ):
        client.chat.completions.create(model="m", messages=QUESTION)


def test_it_goes_down_and_comes_back_at_the_same_port(client: openai.OpenAI, fake: FakeOpenAI) -> None:
    fake.down()
    with pytest.raises(openai.APIConnectionError):
        client.chat.completions.create(model="m", messages=QUESTION)
    fake.up()
    assert client.chat.completions.create(model="m", messages=QUESTION)


@pytest.mark.parametrize("provider", ["openai", "anthropic", "gemini", "cohere", "bedrock"])
def test_by_hand(provider: str) -> None:
    command = [sys.executable, "-m", "penstock.fakes", provider, "--wait-ms", "1", "--gap-ms", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        try:
            with pytest.raises(urllib.error.HTTPError) as missing:
                urllib.request.urlopen(url, timeout=10)
            missing.value.close()
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
