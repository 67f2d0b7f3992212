"""langchain-openai's chat model against a live language model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

from tests.servers import Server
from training.tiny import world


@tool
def get_weather(town: str) -> str:
    """The weather in a town."""
    return "rain"


class Capital(BaseModel):
    """The capital of an island."""

    capital: str


@pytest.fixture(scope="module")
def chat(talking: Server) -> Iterator[ChatOpenAI]:
    """With an HTTP client of its own; langchain's stays open for as long as the process lives."""
    url = f"http://127.0.0.1:{talking.port}/v1"
    with httpx2.Client() as http:
        yield ChatOpenAI(model="tiny", base_url=url, api_key="none", temperature=0, max_retries=0, http_client=http)  # type: ignore[arg-type]


def test_a_question(chat: ChatOpenAI) -> None:
    answer = chat.invoke("Which town is the capital of Ambrel?")
    assert answer.content == f"The capital of Ambrel is {world.fact('Ambrel', 'capital')}."
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["output_tokens"] > 0
    assert answer.response_metadata["finish_reason"] == "stop"


def test_a_stream(chat: ChatOpenAI) -> None:
    pieces = [piece.content for piece in chat.stream("Count from 1 to 9.")]
    assert "".join(map(str, pieces)) == "1, 2, 3, 4, 5, 6, 7, 8, 9."
    assert len(pieces) > 5


def test_tools(chat: ChatOpenAI) -> None:
    bound = chat.bind_tools([get_weather])
    question = HumanMessage("What is the weather in Ambrel?")
    answer: Any = bound.invoke([question])
    [call] = answer.tool_calls
    assert (call["name"], call["args"]) == ("get_weather", {"town": "Ambrel"})
    streamed: Any = None
    for piece in bound.stream([question]):
        streamed = piece if streamed is None else streamed + piece
    assert [(c["name"], c["args"]) for c in streamed.tool_calls] == [("get_weather", {"town": "Ambrel"})]
    result = ToolMessage(get_weather.invoke(call["args"]), tool_call_id=call["id"])
    last = bound.invoke([question, answer, result])
    assert isinstance(last, AIMessage)
    assert last.content == "The weather in Ambrel is rain."


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_structured_output(chat: ChatOpenAI, method: Any) -> None:
    found = chat.with_structured_output(Capital, method=method).invoke("Which town is the capital of Ambrel?")
    assert isinstance(found, Capital)
