"""POST /tokenize and /detokenize."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from penstock.core.generation import Generated, Generation, Message, Started, Text, Tool, Usage
from tests.protocols.openai.live import openai_doors
from tests.protocols.scripted import Live, Scripted


@pytest.fixture(scope="module")
def doors() -> Iterator[tuple[Live, Scripted]]:
    with openai_doors(steps=(Started(3, 0, (7, 8, 9)), Generated(Usage(3)))) as found:
        yield found


def test_a_text_and_a_conversation(doors: tuple[Live, Scripted]) -> None:
    server, model = doors
    expected = {"count": 3, "max_model_len": 256, "tokens": [7, 8, 9], "token_strs": None}
    assert server.json("/tokenize", {"model": "tiny", "prompt": "a b c"}) == expected
    assert model.generation == Generation(prompt="a b c", count_only=True)
    tool = {"type": "function", "function": {"name": "f"}}
    assert server.json("/tokenize", {"messages": [{"role": "user", "content": "Hi"}], "tools": [tool]}) == expected
    turns = (Message("user", "Hi"),)
    assert model.generation == Generation(messages=turns, tools=(Tool("f"),), count_only=True)


def test_token_ids(doors: tuple[Live, Scripted]) -> None:
    server, model = doors
    before, model.steps = model.steps, (Started(3), Text(0, "a b c"), Generated(Usage(3)))
    assert server.json("/detokenize", {"model": "tiny", "tokens": [7, 8, 9]}) == {"prompt": "a b c"}
    assert model.generation == Generation(prompt=(7, 8, 9), count_only=True, echo=True)
    model.steps = before


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/tokenize", {}),
        ("/tokenize", {"prompt": "a", "messages": []}),
        ("/tokenize", {"messages": []}),
        ("/tokenize", {"prompt": "a", "model": "x"}),
        ("/tokenize", {"prompt": "a", "chat_template": "{{ 1 }}"}),
        ("/tokenize", {"prompt": "a", "add_special_tokens": False}),
        ("/detokenize", {}),
        ("/detokenize", {"tokens": []}),
        ("/detokenize", {"tokens": [-1]}),
        ("/detokenize", {"tokens": ["a"]}),
    ],
)
def test_what_is_wrong_is_refused(doors: tuple[Live, Scripted], path: str, body: dict[str, Any]) -> None:
    server, model = doors
    asked = len(model.requests)
    status, answer = server.refusal(path, body)
    assert status in (400, 404)
    assert answer["error"]["message"]
    assert len(model.requests) == asked
