"""Providers that do wrong, seen by the clients of a real server: official ones, without a route in between."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anthropic
import numpy as np
import openai
import pytest
import yaml

from penstock.fakes import plans
from penstock.fakes.anthropic import FakeAnthropic
from penstock.fakes.openai import FakeOpenAI
from penstock.fakes.plans import Plan
from penstock.fakes.speech import Said, vector
from tests import servers
from tests.servers import COMMAND, Answer, Server, eventually, refused, together

SECRET = "sk-very-secret-0123456789"
TIMES = {"first_byte_timeout_ms": 1000, "idle_timeout_ms": 500, "connect_timeout_ms": 500}
QUESTION: Any = [{"role": "user", "content": "How are you?"}]
ANSWER = "You said: How are you?"


@dataclass
class House:
    """A server with models of two providers."""

    server: Server
    first: FakeOpenAI
    second: FakeAnthropic

    def ask(self, model: str = "gpt", **more: Any) -> Answer:
        return self.server.ask("POST", "/v1/chat/completions", {"model": model, "messages": QUESTION, **more})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    def well(self) -> None:
        """The next normal request gets a normal answer."""
        for fake, model in ((self.first, "gpt"), (self.second, "claude")):
            fake.plan = plans.GOOD
            answer = self.ask(model)
            assert (answer.status, answer.json()["choices"][0]["message"]["content"]) == (200, ANSWER), answer
        assert self.server.ask("GET", "/livez").status == 200


@pytest.fixture(scope="module")
def made() -> Iterator[House]:
    with FakeOpenAI(key=SECRET) as first, FakeAnthropic(key=SECRET) as second, pytest.MonkeyPatch.context() as patch:
        patch.setenv("THEIR_KEY", SECRET)
        options = {"key": "env:THEIR_KEY", **TIMES}
        models = {
            "gpt": {"source": "openai:gpt-5-mini", "options": {**options, "url": first.url}},
            "claude": {"source": "anthropic:claude-haiku-4-5", "options": {**options, "url": second.url}},
            "vectors": {"source": f"{first.url}#embed", "options": {**options, "task": "embedding"}},
            "known": {"source": f"{first.url}#embed", "options": {**options, "task": "embedding"}, "cache": {}},
        }
        with servers.configured(models) as server:
            yield House(server, first, second)


@pytest.fixture
def house(made: House) -> Iterator[House]:
    yield made
    made.well()
    for path in ("/metrics", "/v1/models", "/v2/models/gpt", "/v2/models/gpt/config", "/openapi.json", "/docs"):
        body = made.server.ask("GET", path).body.decode()
        for secret in (SECRET, "THEIR_KEY", str(made.first.port), str(made.second.port)):
            assert secret not in body, path
    assert SECRET not in made.server.log()


@pytest.mark.parametrize(
    ("plan", "status", "code"),
    [
        (plans.throttled(7), 502, "provider_throttled"),
        (plans.failing(500), 502, "provider_failed"),
        (plans.failing(503), 502, "provider_failed"),
        (plans.unauthorized(SECRET), 502, "provider_refused"),
        (plans.wrong("temperature must be at most 2"), 400, "not_accepted"),
        (plans.wrong("maximum context length is 8192 tokens"), 400, "context_length_exceeded"),
        (plans.html(), 502, "provider_failed"),
        (plans.cut(0), 502, "provider_failed"),
        (plans.garbage(0), 502, "provider_failed"),
        (plans.silent(0), 502, "provider_silent"),
        (plans.mute(), 502, "provider_silent"),
        (Plan(drip_s=0.05), 502, "provider_silent"),
    ],
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_before_the_first_word_there_is_a_status(
    house: House, plan: Plan, status: int, code: str, stream: bool
) -> None:
    house.first.script(plan)
    began = time.monotonic()
    answer = house.ask(stream=stream, max_tokens=10)
    refused(answer, status)
    assert answer.json()["error"]["code"] == code
    assert SECRET.encode() not in answer.body
    assert time.monotonic() - began < 10
    if code == "provider_throttled":
        assert answer.headers["retry-after"] == "7"


@pytest.mark.parametrize("plan", [plans.cut(3), plans.short(3), plans.silent(3), plans.garbage(3)])
def test_after_the_first_word_openais_client_gets_the_error(house: House, plan: Plan) -> None:
    house.first.script(plan)
    words: list[str] = []
    with openai.OpenAI(base_url=f"{house.url}/v1", api_key="none", max_retries=0) as client:
        chunks = client.chat.completions.create(model="gpt", messages=QUESTION, stream=True)
        with pytest.raises(openai.APIError) as broken:
            words.extend(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert any(words)
    assert ANSWER.startswith("".join(words))
    assert SECRET not in str(broken.value)


def test_after_the_first_word_anthropics_client_gets_the_error(house: House) -> None:
    house.second.script(plans.cut(5))
    words: list[str] = []
    with anthropic.Anthropic(base_url=house.url, api_key="none", max_retries=0) as client:
        asked: Any = {"model": "claude", "max_tokens": 50, "messages": QUESTION}
        with client.messages.stream(**asked) as stream, pytest.raises(anthropic.APIError):
            words.extend(stream.text_stream)
        message = client.messages.create(**asked)
    assert ANSWER.startswith("".join(words))
    assert message.content[0].type == "text"
    assert message.content[0].text == ANSWER


def test_one_dialect_outside_and_another_inside(house: House) -> None:
    house.second.said = Said(calls=(("weather", '{"city": "Oslo"}'),))
    tool: Any = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
    try:
        with openai.OpenAI(base_url=f"{house.url}/v1", api_key="none", max_retries=0) as client:
            for stream in (False, True):
                answer: Any = client.chat.completions.create(
                    model="claude", messages=QUESTION, tools=[tool], stream=stream
                )
                if stream:
                    calls = [c for chunk in answer for c in chunk.choices[0].delta.tool_calls or ()]
                    name, arguments = calls[0].function.name, "".join(c.function.arguments or "" for c in calls)
                else:
                    function = answer.choices[0].message.tool_calls[0].function
                    name, arguments = function.name, function.arguments
                assert (name, arguments.replace(" ", "")) == ("weather", '{"city":"Oslo"}')
    finally:
        house.second.said = Said()


def test_embeddings_on_the_doors_of_local_ones(house: House) -> None:
    with openai.OpenAI(base_url=f"{house.url}/v1", api_key="none", max_retries=0) as client:
        found = client.embeddings.create(model="vectors", input=["one two", "three"])
        assert np.allclose(found.data[0].embedding, vector("one two", 8), atol=1e-6)
        assert found.usage.prompt_tokens == 3
        house.first.script(plans.throttled(3))
        with pytest.raises(openai.InternalServerError):
            client.embeddings.create(model="vectors", input="one")
    rows = house.server.ask("POST", "/models/vectors/predict", {"inputs": ["one two"]}).json()
    assert np.allclose(rows["outputs"][0]["embedding"], vector("one two", 8), atol=1e-6)


def test_rows_that_are_known_are_not_asked_for_again(house: House) -> None:
    before = len(house.first.calls)
    for texts in (["a b", "c"], ["c", "a b", "d"], ["d", "c"]):
        answer = house.server.ask("POST", "/v1/embeddings", {"model": "known", "input": texts}).json()
        for row, text in zip(answer["data"], texts, strict=True):
            assert np.allclose(row["embedding"], vector(text, 8), atol=1e-6)
    asked = [text for call in house.first.calls[before:] for text in call.json["input"]]
    assert sorted(asked) == ["a b", "c", "d"]


def test_who_leaves_is_not_paid_for_any_longer(house: House) -> None:
    house.first.plan = Plan(gap_s=0.2)
    left = house.first.left
    with house.server.connect() as sock:
        body = b'{"model": "gpt", "stream": true, "messages": [{"role": "user", "content": "How are you?"}]}'
        sock.sendall(servers.request("POST", "/v1/chat/completions", body))
        assert sock.recv(10)
    assert house.first.wait_for(lambda: house.first.left == left + 1, 5)


def test_many_streams_at_once_while_others_hang(house: House) -> None:
    house.first.script(*[plans.silent(2)] * 20)
    hanging = [lambda: house.ask(stream=True)] * 20
    house.first.plan = Plan(gap_s=0.01)
    answers = together([*hanging, *[lambda: house.ask(stream=True)] * 60])
    whole = [answer for answer in answers if b"[DONE]" in answer.body]
    assert len(whole) == 60
    assert all(b'"error"' in answer.body for answer in answers if answer not in whole)


def test_a_flood_is_bounded(house: House) -> None:
    """A provider that never stops: the answer ends with an error, and memory comes back."""
    before = house.server.memory()
    house.first.script(Plan(body=b"data: " + b"x" * 40_000_000, content_type="text/event-stream"))
    answer = house.ask(stream=True)
    assert answer.status == 502
    assert answer.json()["error"]["message"].startswith("an event of the provider's stream is longer")
    house.well()
    assert house.server.memory() - before < 100 * 2**20


# --- starting and stopping


def started(tmp_path: Path, model: dict[str, Any], **variables: str) -> subprocess.CompletedProcess[str]:
    """What a server that cannot start says."""
    file = tmp_path / "penstock.yaml"
    file.write_text(yaml.safe_dump({"models": {"m": model}}))
    known = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    command = [*COMMAND, str(file), "--port", "0"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env={**known, **variables})


def test_a_missing_key_is_told_at_start(tmp_path: Path) -> None:
    ended = started(tmp_path, {"source": "openai:gpt-5-mini"})
    assert ended.returncode == 2
    assert "set OPENAI_API_KEY" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_key_in_the_settings_is_refused_and_not_shown(tmp_path: Path) -> None:
    ended = started(tmp_path, {"source": "openai:gpt-5-mini", "options": {"key": SECRET}})
    assert ended.returncode == 2
    assert "env:NAME" in ended.stderr
    assert SECRET not in ended.stderr + ended.stdout


def test_an_unknown_option_is_told_with_the_nearest(tmp_path: Path) -> None:
    model = {"source": "openai:gpt-5-mini", "options": {"idle_timeout": 1}}
    ended = started(tmp_path, model, OPENAI_API_KEY=SECRET)
    assert ended.returncode == 2
    assert "did you mean 'idle_timeout_ms'?" in ended.stderr


def test_stopping_finishes_streams_under_way() -> None:
    with FakeOpenAI(plan=Plan(gap_s=0.1)) as fake, servers.configured({"m": f"{fake.url}#m"}) as server:
        answers: list[Answer] = []

        def ask() -> None:
            body = {"model": "m", "messages": QUESTION, "stream": True}
            answers.append(server.ask("POST", "/v1/chat/completions", body))

        thread = threading.Thread(target=ask)
        thread.start()
        eventually(lambda: fake.calls, "nobody was asked")
        server.signal(signal.SIGTERM)
        thread.join(20)
        assert server.process.wait(20) == 0
        assert answers[0].body.rstrip().endswith(b"data: [DONE]")
