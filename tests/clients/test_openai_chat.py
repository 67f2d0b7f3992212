"""The openai client, sync and async, against a live language model."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionChunk
from pydantic import BaseModel

from tests.clients import conftest
from tests.servers import Server, configured, eventually
from training.tiny import world

MODEL = "tiny"
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]},
    },
}
LONG = "Repeat: " + "island " * 3000


def url(server: Server) -> str:
    return f"http://127.0.0.1:{server.port}/v1"


@pytest.fixture(scope="module")
def client(talking: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=url(talking), api_key="none", max_retries=0) as client:
        yield client


def said(text: str) -> Any:
    return [{"role": "user", "content": text}]


def ask(client: openai.OpenAI, text: str, **rest: Any) -> Any:
    """A whole answer, greedy unless asked otherwise."""
    wishes = {"temperature": 0, **rest}
    return client.chat.completions.create(model=MODEL, messages=said(text), **wishes)


def stream(client: openai.OpenAI, text: str, **rest: Any) -> list[ChatCompletionChunk]:
    """The chunks of the same, streamed."""
    return list(ask(client, text, stream=True, stream_options={"include_usage": True}, **rest))


def text_of(chunks: list[ChatCompletionChunk], choice: int = 0) -> str:
    return "".join(c.delta.content or "" for chunk in chunks for c in chunk.choices if c.index == choice)


def running(server: Server) -> float:
    """Sequences that the engine works on, and requests that wait for it."""
    page = server.ask("GET", "/metrics").body.decode()
    names = ("vllm:num_requests_running", "vllm:num_requests_waiting")
    return sum(float(line.rsplit(" ", 1)[1]) for line in page.splitlines() if line.startswith(names))


def test_a_chat_answers_right(client: openai.OpenAI) -> None:
    answer = ask(client, "Which town is the capital of Ambrel?")
    assert answer.choices[0].message.content == f"The capital of Ambrel is {world.fact('Ambrel', 'capital')}."
    assert (answer.choices[0].finish_reason, answer.choices[0].message.role) == ("stop", "assistant")
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.model == MODEL


def test_a_conversation_is_read_whole(client: openai.OpenAI) -> None:
    messages: Any = [
        {"role": "system", "content": "You are helpful."},
        *said("Which town is the capital of Ambrel?"),
        {"role": "assistant", "content": f"The capital of Ambrel is {world.fact('Ambrel', 'capital')}."},
        *said("And its ruler?"),
    ]
    answer = client.chat.completions.create(model="gpt-4o-mini", messages=messages, temperature=0)
    assert answer.choices[0].message.content == f"The ruler of Ambrel is {world.fact('Ambrel', 'ruler')}."
    assert answer.model == "gpt-4o-mini"


def test_a_stream_is_the_whole_answer_in_pieces(client: openai.OpenAI) -> None:
    whole = ask(client, "Count from 1 to 12.")
    chunks = stream(client, "Count from 1 to 12.")
    assert text_of(chunks) == whole.choices[0].message.content == ", ".join(map(str, range(1, 13))) + "."
    assert len(chunks) > 10
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].choices == []
    usage = chunks[-1].usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == (whole.usage.prompt_tokens, whole.usage.completion_tokens)


def test_the_clients_own_stream_helper(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(model=MODEL, messages=said("Repeat: salt and wind"), temperature=0) as events:
        texts = [event.delta for event in events if event.type == "content.delta"]
        final = events.get_final_completion()
    assert "".join(texts) == final.choices[0].message.content == "salt and wind"


def test_an_answer_ends_where_it_is_told(client: openai.OpenAI) -> None:
    short = ask(client, "Count from 1 to 12.", max_completion_tokens=5)
    assert (short.choices[0].finish_reason, short.usage.completion_tokens) == ("length", 5)
    stopped = ask(client, "Count from 1 to 12.", stop=["7"])
    assert (stopped.choices[0].message.content, stopped.choices[0].finish_reason) == ("1, 2, 3, 4, 5, 6, ", "stop")
    assert text_of(stream(client, "Count from 1 to 12.", stop=["7"])) == "1, 2, 3, 4, 5, 6, "
    on = ask(client, "Hello", extra_body={"ignore_eos": True, "min_tokens": 30}, max_tokens=30)
    assert (on.choices[0].finish_reason, on.usage.completion_tokens) == ("length", 30)


def test_a_seed_gives_the_same_text_twice(client: openai.OpenAI) -> None:
    wishes: dict[str, Any] = {"temperature": 1.5, "seed": 7, "max_tokens": 40}
    first, second = (ask(client, "Tell me about Ambrel.", **wishes).choices[0].message.content for _ in range(2))
    assert first == second == text_of(stream(client, "Tell me about Ambrel.", **wishes))
    others = {
        ask(client, "Tell me about Ambrel.", **{**wishes, "seed": seed}).choices[0].message.content for seed in range(5)
    }
    assert len(others) > 1


def test_several_answers(client: openai.OpenAI) -> None:
    answer = ask(client, "Repeat: salt", n=3)
    assert [(choice.index, choice.message.content) for choice in answer.choices] == [(i, "salt") for i in range(3)]
    chunks = stream(client, "Repeat: salt", n=3)
    assert [text_of(chunks, index) for index in range(3)] == ["salt"] * 3
    varied = ask(client, "Tell me about Ambrel.", n=4, temperature=1.5, seed=1, max_tokens=30)
    assert len({choice.message.content for choice in varied.choices}) > 1


def test_log_probabilities(client: openai.OpenAI) -> None:
    answer = ask(client, "Repeat: salt and wind", logprobs=True)
    tokens = answer.choices[0].logprobs.content
    assert b"".join(bytes(token.bytes) for token in tokens).decode().startswith("salt and wind")
    assert all(-9999 <= token.logprob <= 0 for token in tokens)
    streamed = [c.logprobs for chunk in stream(client, "Repeat: salt and wind", logprobs=True) for c in chunk.choices]
    pieces = [token for logprobs in streamed if logprobs for token in logprobs.content or ()]
    assert [token.token for token in pieces] == [token.token for token in tokens]


@pytest.fixture
def llamacpp() -> Iterator[openai.OpenAI]:
    """The same model on the engine that shows alternatives and takes biases."""
    if find_spec("llama_cpp") is None:
        pytest.skip("needs the extra llamacpp")
    models = {MODEL: {"source": str(conftest.TINY), "options": {"engine": "llamacpp"}}}
    with configured(models) as server, openai.OpenAI(base_url=url(server), api_key="none", max_retries=0) as client:
        yield client


def test_alternatives_and_biases(client: openai.OpenAI, llamacpp: openai.OpenAI) -> None:
    answer = ask(llamacpp, "Repeat: salt", logprobs=True, top_logprobs=3)
    tokens = answer.choices[0].logprobs.content
    assert all(len(token.top_logprobs) == 3 for token in tokens)
    assert all(token.top_logprobs[0].token == token.token for token in tokens), "greedy takes the likeliest"
    old = llamacpp.completions.create(model=MODEL, prompt="The capital of", logprobs=2, max_tokens=4, temperature=0)
    shown = old.choices[0].logprobs
    assert shown is not None
    assert shown.top_logprobs is not None
    assert all(len(each) == 2 for each in shown.top_logprobs)
    with_bias = ask(llamacpp, "Repeat: salt", logit_bias={"40": 100}, max_tokens=4)
    assert len(set(with_bias.choices[0].message.content)) == 1
    with pytest.raises(openai.BadRequestError, match="llamacpp"):
        ask(client, "Hello", logprobs=True, top_logprobs=3)


def call_of(chunks: list[ChatCompletionChunk]) -> list[tuple[str, str]]:
    """Name and arguments of every call in a stream."""
    calls: dict[int, list[str]] = {}
    for chunk in chunks:
        for part in (chunk.choices and chunk.choices[0].delta.tool_calls) or ():
            function = part.function
            assert function is not None
            if function.name:
                calls[part.index] = [function.name, ""]
            calls[part.index][1] += function.arguments or ""
    return [(name, arguments) for name, arguments in calls.values()]


@pytest.mark.parametrize("choice", ["auto", "required", {"type": "function", "function": {"name": "get_weather"}}])
def test_tools(client: openai.OpenAI, choice: Any) -> None:
    question = "What is the weather in Ambrel?"
    wishes: dict[str, Any] = {"tools": [WEATHER], "tool_choice": choice}
    answer = ask(client, question, **wishes)
    [call] = answer.choices[0].message.tool_calls
    assert answer.choices[0].finish_reason == "tool_calls"
    assert (call.type, call.function.name, json.loads(call.function.arguments)) == (
        "function",
        "get_weather",
        {"town": "Ambrel"},
    )
    chunks = stream(client, question, **wishes)
    assert call_of(chunks) == [(call.function.name, call.function.arguments)]
    assert chunks[-2].choices[0].finish_reason == "tool_calls"

    messages = [*said(question), answer.choices[0].message]
    messages.append({"role": "tool", "tool_call_id": call.id, "content": '{"weather": "rain"}'})
    last = client.chat.completions.create(model=MODEL, messages=messages, tools=[WEATHER], temperature=0)
    assert last.choices[0].message.content == "The weather in Ambrel is rain."


def test_no_tool_where_none_is_wanted(client: openai.OpenAI) -> None:
    answer = ask(client, "What is the weather in Ambrel?", tools=[WEATHER], tool_choice="none")
    assert not answer.choices[0].message.tool_calls
    assert answer.choices[0].finish_reason == "stop"


class Capital(BaseModel):
    capital: str


def test_a_schema_is_followed(client: openai.OpenAI) -> None:
    text = "Which town is the capital of Ambrel?"
    found = client.chat.completions.parse(model=MODEL, messages=said(text), temperature=0, response_format=Capital)
    parsed = found.choices[0].message.parsed
    assert parsed is not None
    assert isinstance(parsed.capital, str)
    assert json.loads(found.choices[0].message.content or "") == {"capital": parsed.capital}
    schema = {"type": "object", "properties": {"n": {"enum": [3, 5]}}, "required": ["n"], "additionalProperties": False}
    format = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema, "strict": True}}
    for seed in range(5):
        # Thoughts are free, and about a question that was learned they are short at this temperature.
        [choice] = ask(client, text, response_format=format, temperature=1, seed=seed).choices
        assert choice.finish_reason == "stop"
        assert json.loads(choice.message.content) in ({"n": 3}, {"n": 5})
    [free] = ask(client, text, response_format={"type": "json_object"}).choices
    assert free.finish_reason == "stop"
    assert isinstance(json.loads(free.message.content), dict)


def test_thoughts_come_apart_from_the_answer(client: openai.OpenAI) -> None:
    question = "Which town is the capital of Ambrel?"
    answer = ask(client, question, reasoning_effort="high")
    message = answer.choices[0].message
    assert message.reasoning_content
    assert "<think>" not in message.content
    assert 0 < answer.usage.completion_tokens_details.reasoning_tokens < answer.usage.completion_tokens
    chunks = stream(client, question, reasoning_effort="high")
    thoughts = "".join(getattr(c.delta, "reasoning_content", None) or "" for chunk in chunks for c in chunk.choices)
    assert (thoughts, text_of(chunks)) == (message.reasoning_content, message.content)
    assert not hasattr(ask(client, question, reasoning_effort="none").choices[0].message, "reasoning_content")


def test_completions(client: openai.OpenAI) -> None:
    prompt = "<|im_start|>user\nRepeat: salt<|im_end|>\n<|im_start|>assistant\n"
    answer = client.completions.create(model=MODEL, prompt=prompt, temperature=0, max_tokens=20)
    assert (answer.choices[0].text, answer.choices[0].finish_reason) == ("salt", "stop")
    pieces = client.completions.create(model=MODEL, prompt=prompt, temperature=0, max_tokens=20, stream=True)
    assert "".join(piece.choices[0].text for piece in pieces) == "salt"
    both = client.completions.create(model=MODEL, prompt=[prompt, prompt.replace("salt", "wind")], temperature=0, n=2)
    assert [choice.text for choice in both.choices] == ["salt", "salt", "wind", "wind"]
    shown = client.completions.create(model=MODEL, prompt="The capital of", echo=True, max_tokens=4, temperature=0)
    assert shown.choices[0].text.startswith("The capital of")


def test_token_ids_are_a_prompt(talking: Server, client: openai.OpenAI) -> None:
    prompt = "<|im_start|>user\nRepeat: salt 🚲<|im_end|>\n<|im_start|>assistant\n"
    found = talking.ask("POST", "/tokenize", {"model": MODEL, "prompt": prompt}).json()
    answer = client.completions.create(model=MODEL, prompt=found["tokens"], temperature=0, max_tokens=20, logprobs=0)
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == found["count"] == len(found["tokens"])
    assert answer.choices[0].text == client.completions.create(
        model=MODEL, prompt=prompt, temperature=0, max_tokens=20
    ).choices[0].text  # fmt: skip
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.text_offset is not None
    assert logprobs.text_offset[0] == 0
    back = talking.ask("POST", "/detokenize", {"model": MODEL, "tokens": found["tokens"]}).json()
    assert "Repeat: salt 🚲" in back["prompt"]


def test_responses(client: openai.OpenAI) -> None:
    question = "Which town is the capital of Ambrel?"
    answer = client.responses.create(model=MODEL, input=question, temperature=0, store=False)
    assert answer.output_text == f"The capital of Ambrel is {world.fact('Ambrel', 'capital')}."
    assert (answer.status, answer.usage and answer.usage.output_tokens > 0) == ("completed", True)
    with client.responses.stream(model=MODEL, input=question, temperature=0) as events:
        pieces = [event.delta for event in events if event.type == "response.output_text.delta"]
        final = events.get_final_response()
    assert "".join(pieces) == final.output_text == answer.output_text
    cut = client.responses.create(model=MODEL, input="Count from 1 to 12.", temperature=0, max_output_tokens=5)
    assert (cut.status, cut.incomplete_details and cut.incomplete_details.reason) == ("incomplete", "max_output_tokens")


def test_responses_call_tools_and_read_their_results(client: openai.OpenAI) -> None:
    tool: Any = {"type": "function", **WEATHER["function"], "strict": False}
    items: Any = said("What is the weather in Ambrel?")
    answer = client.responses.create(model=MODEL, input=items, tools=[tool], temperature=0)
    [call] = [item for item in answer.output if item.type == "function_call"]
    assert (call.name, json.loads(call.arguments)) == ("get_weather", {"town": "Ambrel"})
    events = list(client.responses.create(model=MODEL, input=items, tools=[tool], temperature=0, stream=True))
    done = [event for event in events if event.type == "response.function_call_arguments.done"]
    assert [event.arguments for event in done] == [call.arguments]
    result = {"type": "function_call_output", "call_id": call.call_id, "output": '{"weather": "rain"}'}
    last = client.responses.create(model=MODEL, input=[*items, *answer.output, result], tools=[tool], temperature=0)
    assert last.output_text == "The weather in Ambrel is rain."


def test_responses_follow_a_schema(client: openai.OpenAI) -> None:
    found = client.responses.parse(
        model=MODEL, input="Which town is the capital of Ambrel?", temperature=0, text_format=Capital
    )
    assert isinstance(found.output_parsed, Capital)


def test_many_at_once_are_each_answered_right(talking: Server) -> None:
    islands = world.ISLANDS[:24]

    async def ask_all() -> list[Any]:
        async with openai.AsyncOpenAI(base_url=url(talking), api_key="none", max_retries=0) as many:
            return await asyncio.gather(*(one(many, island) for island in islands))

    async def one(many: openai.AsyncOpenAI, island: str) -> str:
        pieces = await many.chat.completions.create(
            model=MODEL, messages=said(f"Repeat: {island} and salt"), temperature=0, stream=True
        )
        return "".join([piece.choices[0].delta.content or "" async for piece in pieces])

    assert asyncio.run(ask_all()) == [f"{island} and salt" for island in islands]


def test_leaving_a_stream_ends_the_answer(talking: Server, client: openai.OpenAI) -> None:
    with ask(client, "Hello", stream=True, extra_body={"ignore_eos": True}, max_tokens=2000) as pieces:
        next(iter(pieces))
        eventually(lambda: running(talking) > 0, "nothing runs")
    eventually(lambda: running(talking) == 0, "the answer went on", 5)


def test_embeddings_beside_it(talking_and_embedding: Server) -> None:
    with openai.OpenAI(base_url=url(talking_and_embedding), api_key="none", max_retries=0) as client:
        assert len(client.embeddings.create(model="embedder", input="salt").data[0].embedding) > 0
        assert ask(client, "Hello").choices[0].message.content
        with pytest.raises(openai.BadRequestError, match="generation"):
            client.embeddings.create(model=MODEL, input="salt")
        with pytest.raises(openai.BadRequestError, match="embedding"):
            client.chat.completions.create(model="embedder", messages=said("Hello"))
        assert {model.id for model in client.models.list()} == {MODEL, "embedder"}


@pytest.mark.parametrize("streamed", [False, True])
def test_a_prompt_over_the_context_says_so_with_both_numbers(client: openai.OpenAI, streamed: bool) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        ask(client, LONG, stream=streamed)
    assert (raised.value.code, raised.value.param) == ("context_length_exceeded", "messages")
    assert "2048" in raised.value.message
    with pytest.raises(openai.BadRequestError) as raised:
        ask(client, "Hello", max_tokens=2040, stream=streamed)
    assert raised.value.code == "context_length_exceeded"
    assert {"2040", "2048"} <= set(raised.value.message.replace(";", " ").split())


def test_errors_are_the_clients_own_kinds(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        client.chat.completions.create(model="nobody", messages=said("Hello"))
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as wrong:
        ask(client, "Hello", top_p=2)
    assert wrong.value.param == "top_p"
    with pytest.raises(openai.APIStatusError) as late:
        ask(client, "Hello", extra_body={"timeout_ms": 1, "ignore_eos": True}, max_tokens=1000)
    assert late.value.status_code == 504
    with pytest.raises(openai.BadRequestError, match="nothing is stored"):
        client.responses.create(model=MODEL, input="Hello", previous_response_id="resp_1")
