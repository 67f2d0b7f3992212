"""The ollama client, sync and async, against a live language model."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ollama
import pytest
from pydantic import BaseModel

from tests import hub_server, servers
from tests.clients.conftest import TINY
from tests.clients.test_anthropic import running
from tests.repository import ggufs
from tests.servers import Server, eventually
from training.tiny import world

MODEL = "tiny"
GREEDY = {"temperature": 0, "num_predict": 100}
CAPITAL = f"The capital of Ambrel is {world.fact('Ambrel', 'capital')}."
QUESTION = "Which town is the capital of Ambrel?"


def url(server: Server) -> str:
    return f"http://127.0.0.1:{server.port}"


@pytest.fixture(scope="module")
def client(talking: Server) -> Iterator[ollama.Client]:
    with ollama.Client(url(talking)) as client:
        yield client


def said(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


def get_weather(town: str) -> str:
    """The weather of a town.

    Args:
      town: its name
    """
    return json.dumps({"weather": f"rain over {town}"})


def test_a_chat_answers_right(client: ollama.Client) -> None:
    answer = client.chat(MODEL, said(QUESTION), options=GREEDY)
    assert (answer.message.content, answer.message.role) == (CAPITAL, "assistant")
    assert (answer.done, answer.done_reason, answer.model) == (True, "stop", MODEL)
    assert answer.eval_count > 5
    assert answer.total_duration >= answer.eval_duration > 0
    assert answer.prompt_eval_count > 5


def test_a_stream_is_the_whole_answer_in_pieces(client: ollama.Client) -> None:
    whole = client.chat(MODEL, said("Count from 1 to 12."), options=GREEDY)
    parts = list(client.chat(MODEL, said("Count from 1 to 12."), options=GREEDY, stream=True))
    text = "".join(part.message.content or "" for part in parts)
    assert text == whole.message.content == ", ".join(map(str, range(1, 13))) + "."
    assert [part.done for part in parts].count(True) == 1
    assert (parts[-1].eval_count, parts[-1].prompt_eval_count) == (whole.eval_count, whole.prompt_eval_count)


def test_a_prompt_with_a_system(client: ollama.Client) -> None:
    answer = client.generate(MODEL, QUESTION, system="You are helpful.", options=GREEDY)
    assert answer.response == CAPITAL
    parts = list(client.generate(MODEL, QUESTION, system="You are helpful.", options=GREEDY, stream=True))
    assert "".join(part.response for part in parts) == CAPITAL


def test_a_raw_prompt(client: ollama.Client) -> None:
    prompt = f"<|im_start|>user\n{QUESTION}<|im_end|>\n<|im_start|>assistant\n"
    assert client.generate(MODEL, prompt, raw=True, options=GREEDY).response == CAPITAL


def test_an_answer_ends_where_it_is_told(client: ollama.Client) -> None:
    short = client.chat(MODEL, said("Count from 1 to 12."), options={**GREEDY, "num_predict": 5})
    assert (short.done_reason, short.eval_count) == ("length", 5)
    stopped = client.chat(MODEL, said("Count from 1 to 12."), options={**GREEDY, "stop": ["7"]})
    assert (stopped.message.content, stopped.done_reason) == ("1, 2, 3, 4, 5, 6, ", "stop")


def test_a_seed_gives_the_same_text_twice(client: ollama.Client) -> None:
    texts = {
        client.chat(MODEL, said("Hello"), options={"seed": 7, "temperature": 1, "num_predict": 20}).message.content
        for _ in range(2)
    }
    assert len(texts) == 1


def test_a_python_function_is_called_and_its_result_read(client: ollama.Client) -> None:
    messages = said("What is the weather in Ambrel?")
    answer = client.chat(MODEL, messages, tools=[get_weather], options=GREEDY)
    (call,) = answer.message.tool_calls or ()
    assert (call.function.name, dict(call.function.arguments)) == ("get_weather", {"town": "Ambrel"})
    messages += [answer.message, {"role": "tool", "tool_name": "get_weather", "content": '{"weather": "rain"}'}]
    last = client.chat(MODEL, messages, tools=[get_weather], options=GREEDY)
    assert last.message.content == "The weather in Ambrel is rain."
    streamed = client.chat(
        MODEL, said("What is the weather in Ambrel?"), tools=[get_weather], options=GREEDY, stream=True
    )
    calls = [call for part in streamed for call in part.message.tool_calls or ()]
    assert [dict(call.function.arguments) for call in calls] == [{"town": "Ambrel"}]


def test_thoughts_are_beside_the_answer(client: ollama.Client) -> None:
    answer = client.chat(MODEL, said(QUESTION), think=True, options=GREEDY)
    assert answer.message.content == CAPITAL
    assert "Ambrel is an island" in (answer.message.thinking or "")
    assert client.chat(MODEL, said(QUESTION), think=False, options=GREEDY).message.thinking is None


class Capital(BaseModel):
    """What the answer's schema asks for."""

    capital: str


def test_an_answer_by_a_schema(client: ollama.Client) -> None:
    answer = client.chat(
        MODEL, said(QUESTION), format=Capital.model_json_schema(), options={**GREEDY, "num_predict": 200}
    )
    assert Capital.model_validate_json(answer.message.content or "").capital
    free = client.generate(MODEL, QUESTION, format="json", options={**GREEDY, "num_predict": 200})
    assert isinstance(json.loads(free.response), dict)


def test_what_is_served_is_listed_shown_and_loaded(client: ollama.Client) -> None:
    listed = {model.model: model for model in client.list().models}
    assert "tiny" in listed
    details = listed["tiny"].details
    assert details is not None
    assert (details.family, details.format, details.quantization_level) == ("llama", "gguf", "F16")
    shown = client.show(MODEL)
    assert shown.capabilities == ["completion", "tools", "thinking"]
    assert (shown.modelinfo or {})["llama.context_length"] == 2048
    assert "<|im_start|>" in (shown.template or "")
    (loaded,) = [model for model in client.ps().models if model.model == "tiny"]
    assert loaded.context_length == 2048
    assert loaded.size is not None
    assert loaded.size > 1_000_000


def test_embed(talking_and_embedding: Server) -> None:
    with ollama.Client(url(talking_and_embedding)) as client:
        found = client.embed("embedder", ["salt", "wind and salt"])
        assert len(found.embeddings) == 2
        assert (found.prompt_eval_count or 0) > 2
        one = client.embeddings("embedder", "salt")
        assert list(one.embedding) == pytest.approx(list(found.embeddings[0]), abs=1e-4)
        assert {"tiny", "embedder"} == {model.model for model in client.list().models}
        with pytest.raises(ollama.ResponseError, match="does embedding, not generation"):
            client.chat("embedder", said("hi"))


def test_pull(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    with hub_server.running() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        hub.add("org/small-GGUF", {"small-Q8_0.gguf": ggufs.gguf()})
        with servers.configured({"moody": servers.moody()}) as server, ollama.Client(url(server)) as client:
            statuses = [part.status for part in client.pull("hf:org/small-GGUF", stream=True)]
            assert (statuses[0], statuses[-1]) == ("pulling manifest", "success")
            (small,) = client.list().models
            assert (small.model, small.details and small.details.family) == ("small", "llama")
            assert client.pull("small").status == "success"
            with pytest.raises(ollama.ResponseError, match="penstock serve small"):
                client.chat("small", said("hi"))
            with pytest.raises(ollama.ResponseError, match="hf:org/name"):
                client.pull("what")


def test_a_pull_that_is_not_allowed() -> None:
    models = {"moody": servers.moody()}
    with servers.configured(models, http={"pull": False}) as server, ollama.Client(url(server)) as client:
        with pytest.raises(ollama.ResponseError, match="penstock pull") as refused:
            client.pull("hf:org/name")
        assert refused.value.status_code == 403


@pytest.fixture
def unloading() -> Iterator[Server]:
    """A server of its own for the tiny model, which tests unload."""
    with servers.configured({"tiny": {"source": str(TINY)}}, ready_s=110, aliases={"small": "tiny"}) as server:
        yield server


def loads(server: Server) -> int:
    return server.log().count("worker_ready")


def test_an_unloaded_model_is_loaded_for_whoever_asks(unloading: Server) -> None:
    with ollama.Client(url(unloading)) as client:
        client.generate("small", keep_alive=0)
        assert client.ps().models == []
        assert client.chat(MODEL, said(QUESTION), options=GREEDY).message.content == CAPITAL
        assert [model.model for model in client.ps().models] == [MODEL]
        assert unloading.ask("POST", "/v2/repository/models/tiny/unload").status == 200
        parts = list(client.generate("small:latest", QUESTION, options=GREEDY, stream=True))
        assert "".join(part.response for part in parts) == CAPITAL
        assert loads(unloading) == 3
        client.generate(MODEL, keep_alive=0)

    async def ask() -> list[Any]:
        many = ollama.AsyncClient(url(unloading))
        try:
            return await asyncio.gather(*(many.chat(MODEL, said(QUESTION), options=GREEDY) for _ in range(6)))
        finally:
            await many.close()

    assert {answer.message.content for answer in asyncio.run(ask())} == {CAPITAL}
    assert loads(unloading) == 4


def test_many_at_once(talking: Server) -> None:
    islands = world.ISLANDS[:12]

    async def ask() -> list[Any]:
        many = ollama.AsyncClient(url(talking))
        questions = (said(f"Which town is the capital of {island}?") for island in islands)
        try:
            return await asyncio.gather(*(many.chat(MODEL, question, options=GREEDY) for question in questions))
        finally:
            await many.close()

    expected = [f"The capital of {island} is {world.fact(island, 'capital')}." for island in islands]
    assert [answer.message.content for answer in asyncio.run(ask())] == expected


def test_leaving_a_stream_ends_the_answer(client: ollama.Client, talking: Server) -> None:
    stream = client.chat(MODEL, said("Count from 1 to 100."), stream=True, options={"num_predict": 1000})
    for _ in zip(range(5), stream, strict=False):
        pass
    stream.close()  # type: ignore[attr-defined]
    eventually(lambda: running(talking) == 0, "the answer goes on", 2)


@pytest.mark.parametrize(
    ("model", "options", "status", "says"),
    [
        ("tinny", {}, 404, "did you mean 'tiny'"),
        (MODEL, {"num_ctx": 4096}, 400, "context of 2048"),
        (MODEL, {"num_predict": 100_000}, 400, "2048"),
        (MODEL, {"temperature": -1}, 400, "temperature"),
        (MODEL, {"mirostat": 2}, 400, "mirostat is not offered"),
        (MODEL, {"typo": 2}, 400, "unknown field 'typo'"),
    ],
)
def test_errors_say_what_would_work(
    client: ollama.Client, model: str, options: dict[str, Any], status: int, says: str
) -> None:
    for stream in (False, True):
        with pytest.raises(ollama.ResponseError, match=says) as refused:
            list(client.chat(model, said("hi"), options=options, stream=stream))  # type: ignore[call-overload]
        assert refused.value.status_code == status


def test_a_prompt_that_is_too_long_is_never_cut(client: ollama.Client) -> None:
    with pytest.raises(ollama.ResponseError, match="2048"):
        client.chat(MODEL, said("island " * 3000))
