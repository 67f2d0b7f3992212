"""The anthropic client, sync and async, against a live language model."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from pydantic import BaseModel

from tests.servers import Server, eventually, says_nothing_internal
from training.tiny import world

MODEL = "tiny"
CAPITAL = f"The capital of Ambrel is {world.fact('Ambrel', 'capital')}."
WEATHER: Any = {
    "name": "get_weather",
    "description": "The weather of a town.",
    "input_schema": {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]},
}
QUESTION = "What is the weather in Ambrel?"


def url(server: Server) -> str:
    return f"http://127.0.0.1:{server.port}"


@pytest.fixture(scope="module")
def client(talking: Server) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=url(talking), api_key="none", max_retries=0) as client:
        yield client


def asked(text: str, **rest: Any) -> dict[str, Any]:
    """What to send, greedy unless asked otherwise."""
    wishes = {"model": MODEL, "max_tokens": 256, "messages": [{"role": "user", "content": text}]}
    return {**wishes, "extra_body": {"temperature": 0}, **rest}


def running(server: Server) -> float:
    """Sequences that the engine works on, and requests that wait for it."""
    page = server.ask("GET", "/metrics").body.decode()
    names = ("vllm:num_requests_running", "vllm:num_requests_waiting")
    return sum(float(line.rsplit(" ", 1)[1]) for line in page.splitlines() if line.startswith(names))


def test_a_message_answers_right(client: anthropic.Anthropic) -> None:
    message = client.messages.create(**asked("Which town is the capital of Ambrel?"))
    assert [block.text for block in message.content] == [CAPITAL]
    assert (message.stop_reason, message.role, message.model) == ("end_turn", "assistant", MODEL)
    assert message.usage.output_tokens > 5
    assert message._request_id


def test_a_conversation_is_read_whole(client: anthropic.Anthropic) -> None:
    system: Any = [{"type": "text", "text": "You are helpful.", "cache_control": {"type": "ephemeral"}}]
    first = client.messages.create(**asked("Which town is the capital of Ambrel?", system=system))
    messages: Any = [
        {"role": "user", "content": "Which town is the capital of Ambrel?"},
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": [{"type": "text", "text": "And its ruler?"}]},
    ]
    second = client.messages.create(**asked("", messages=messages, system=system))
    assert second.content[0].text == f"The ruler of Ambrel is {world.fact('Ambrel', 'ruler')}."


def test_a_stream_is_the_whole_answer_in_pieces(client: anthropic.Anthropic) -> None:
    whole = client.messages.create(**asked("Count from 1 to 12."))
    with client.messages.stream(**asked("Count from 1 to 12.")) as stream:
        pieces = list(stream.text_stream)
        final = stream.get_final_message()
    assert len(pieces) > 10
    assert "".join(pieces) == final.content[0].text == whole.content[0].text == ", ".join(map(str, range(1, 13))) + "."
    assert final.stop_reason == whole.stop_reason == "end_turn"
    tokens = [u.input_tokens + (u.cache_read_input_tokens or 0) for u in (final.usage, whole.usage)]
    assert tokens[0] == tokens[1] > 0
    assert final.usage.output_tokens == whole.usage.output_tokens


def test_the_raw_events_are_in_order(client: anthropic.Anthropic) -> None:
    kinds = [event.type for event in client.messages.create(**asked("Repeat: salt"), stream=True)]
    assert kinds[:2] == ["message_start", "content_block_start"]
    assert set(kinds[2:-3]) == {"content_block_delta"}
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]


def test_an_answer_ends_where_it_is_told(client: anthropic.Anthropic) -> None:
    short = client.messages.create(**asked("Count from 1 to 12.", max_tokens=5))
    assert (short.stop_reason, short.usage.output_tokens) == ("max_tokens", 5)
    stopped = client.messages.create(**asked("Count from 1 to 12.", stop_sequences=["7", "9"]))
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", "7")
    assert stopped.content[0].text == "1, 2, 3, 4, 5, 6, "


def test_tokens_are_counted_as_the_answer_counts_them(client: anthropic.Anthropic) -> None:
    question: Any = {"model": MODEL, "messages": [{"role": "user", "content": QUESTION}], "tools": [WEATHER]}
    counted = client.messages.count_tokens(**question).input_tokens
    usage = client.messages.create(**question, max_tokens=16).usage
    assert counted == usage.input_tokens + (usage.cache_read_input_tokens or 0)
    assert counted > client.messages.count_tokens(**{**question, "tools": []}).input_tokens


@pytest.mark.parametrize("choice", [{"type": "auto"}, {"type": "any"}, {"type": "tool", "name": "get_weather"}])
def test_a_tool_is_called_and_its_result_read(client: anthropic.Anthropic, choice: Any) -> None:
    message = client.messages.create(**asked(QUESTION, tools=[WEATHER], tool_choice=choice))
    (call,) = [block for block in message.content if block.type == "tool_use"]
    assert (message.stop_reason, call.name, call.input) == ("tool_use", "get_weather", {"town": "Ambrel"})
    result = {"type": "tool_result", "tool_use_id": call.id, "content": '{"weather": "rain"}'}
    messages: Any = [
        {"role": "user", "content": QUESTION},
        {"role": "assistant", "content": message.content},
        {"role": "user", "content": [result]},
    ]
    last = client.messages.create(**asked("", messages=messages, tools=[WEATHER]))
    assert last.content[0].text == "The weather in Ambrel is rain."


def test_streamed_calls_are_the_whole_ones(client: anthropic.Anthropic) -> None:
    question = asked("What is the weather in Ambrel and Quill?", tools=[WEATHER])
    whole = client.messages.create(**question)
    with client.messages.stream(**question) as stream:
        final = stream.get_final_message()
    calls = [[(b.name, b.input) for b in m.content if b.type == "tool_use"] for m in (whole, final)]
    assert calls[0] == calls[1] == [("get_weather", {"town": town}) for town in ("Ambrel", "Quill")]


def test_no_tool_when_none_is_wanted(client: anthropic.Anthropic) -> None:
    message = client.messages.create(**asked(QUESTION, tools=[WEATHER], tool_choice={"type": "none"}))
    assert all(block.type == "text" for block in message.content)


def test_thoughts_are_blocks_of_their_own(client: anthropic.Anthropic) -> None:
    question = asked("Which town is the capital of Ambrel?", thinking={"type": "enabled", "budget_tokens": 1024})
    whole = client.messages.create(**question)
    assert [block.type for block in whole.content] == ["thinking", "text"]
    assert whole.content[1].text == CAPITAL
    assert "Ambrel is an island" in whole.content[0].thinking
    with client.messages.stream(**question) as stream:
        final = stream.get_final_message()
    assert [block.to_dict() for block in final.content] == [block.to_dict() for block in whole.content]


class Capital(BaseModel):
    """What the answer's schema asks for."""

    capital: str


def test_an_answer_by_a_schema(client: anthropic.Anthropic) -> None:
    config: Any = {
        "format": {"type": "json_schema", "schema": {**Capital.model_json_schema(), "additionalProperties": False}}
    }
    message = client.messages.create(**asked("Which town is the capital of Ambrel?", output_config=config))
    assert Capital(**json.loads(message.content[0].text)).capital


def test_many_at_once(talking: Server) -> None:
    islands = world.ISLANDS[:12]

    async def ask() -> list[Any]:
        async with anthropic.AsyncAnthropic(base_url=url(talking), api_key="none", max_retries=0) as many:
            questions = (asked(f"Which town is the capital of {island}?") for island in islands)
            return await asyncio.gather(*(many.messages.create(**question) for question in questions))

    expected = [f"The capital of {island} is {world.fact(island, 'capital')}." for island in islands]
    assert [message.content[0].text for message in asyncio.run(ask())] == expected


def test_leaving_a_stream_ends_the_answer(client: anthropic.Anthropic, talking: Server) -> None:
    with client.messages.create(**asked("Count from 1 to 100.", max_tokens=1000), stream=True) as stream:
        for _ in zip(range(5), stream, strict=False):
            pass
    eventually(lambda: running(talking) == 0, "the answer goes on", 2)


@pytest.mark.parametrize(
    ("message", "kind", "says"),
    [
        ({"model": "tinny"}, anthropic.NotFoundError, "did you mean 'tiny'"),
        ({"max_tokens": 0}, anthropic.BadRequestError, "max_tokens"),
        ({"max_tokens": 5000}, anthropic.BadRequestError, "2048"),
        ({"messages": [{"role": "user", "content": "island " * 3000}]}, anthropic.BadRequestError, "2048"),
        ({"messages": []}, anthropic.BadRequestError, "messages is empty"),
        ({"extra_body": {"seed": 1}}, anthropic.BadRequestError, "unknown field 'seed'"),
    ],
)
def test_errors_are_the_clients_own_classes(
    client: anthropic.Anthropic, message: dict[str, Any], kind: type[anthropic.APIStatusError], says: str
) -> None:
    with pytest.raises(kind, match=says) as refused:
        client.messages.create(**asked("hi", **message))
    body: Any = refused.value.body
    assert body["type"] == "error"
    assert body["error"]["type"] in ("invalid_request_error", "not_found_error")
    assert refused.value.request_id == body["request_id"]
    said = {"error": {**body["error"], "request_id": body["request_id"]}}
    says_nothing_internal(json.dumps(said))
