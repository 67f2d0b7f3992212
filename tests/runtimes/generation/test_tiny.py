"""The tiny model on a real engine: answers that are known, in every way that a request can ask for them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import msgspec
import pytest

from penstock.core.generation import Call, Generation, Message, Sampling
from penstock.runtimes.generation.runtime import LanguageRuntime
from tests.runtimes.generation.talk import ask, told
from tests.runtimes.generation.tiny_talk import GREEDY, WEATHER, answer, loaded, question

pytest.importorskip("openvino_genai")


@pytest.fixture(scope="module")
def tiny() -> Iterator[LanguageRuntime]:
    yield (made := loaded("openvino"))
    made.close()


def test_a_fact(tiny: LanguageRuntime) -> None:
    found = answer(tiny, "Which town is the capital of Gildan?")
    assert found["text"] == "The capital of Gildan is Mossgate."
    assert found["reason"] == "stop"


def test_answers_together_are_the_answers_alone(tiny: LanguageRuntime) -> None:
    texts = [f"Who rules {island}?" for island in ("Gildan", "Quill", "Ember")] + ["Count from 1 to 5."]
    together = [told(events)["text"] for events in ask(tiny, *map(question, texts), seconds=60)]
    assert together == [answer(tiny, text)["text"] for text in texts]
    assert together[1] == "The ruler of Quill is Piet."
    assert together[3] == "1, 2, 3, 4, 5."


def test_thoughts(tiny: LanguageRuntime) -> None:
    found = answer(tiny, "Which town is the capital of Gildan?", think=True)
    assert found["reasoning"]
    assert "Mossgate" in found["text"]
    assert "think" not in found["text"] + found["reasoning"]
    assert answer(tiny, "Which town is the capital of Gildan?", think=False)["reasoning"] == ""


def test_a_tool_is_called_and_its_result_read(tiny: LanguageRuntime) -> None:
    text = "What is the weather in Quill?"
    found = answer(tiny, text, tools=(WEATHER,))
    ((name, arguments),) = found["calls"]
    assert (name, json.loads(arguments), found["reason"]) == ("get_weather", {"town": "Quill"}, "tool_calls")
    assert found["text"] == ""
    call = Call("call_1", name, arguments)
    messages = (Message("user", text), Message("assistant", "", (call,)), Message("tool", "sunny", (), "call_1"))
    (events,) = ask(tiny, Generation(messages=messages, tools=(WEATHER,), sampling=GREEDY), seconds=60)
    assert told(events)["text"] == "The weather in Quill is sunny."


def test_a_stop_string(tiny: LanguageRuntime) -> None:
    sampling = msgspec.structs.replace(GREEDY, stop=("7,",))
    found = answer(tiny, "Count from 1 to 12.", sampling=sampling)
    assert (found["text"], found["stop"], found["reason"]) == ("1, 2, 3, 4, 5, 6, ", "7,", "stop")
    assert not tiny.busy


def test_choices_differ_and_a_seed_repeats_them(tiny: LanguageRuntime) -> None:
    sampling = Sampling(temperature=4.0, seed=5, max_tokens=24)
    asked = question("Tell me a story.", sampling=sampling, choices=3)
    (first,) = ask(tiny, asked, seconds=60)
    (again,) = ask(tiny, asked, seconds=60)
    texts = [told(first, index)["text"] for index in range(3)]
    assert len(set(texts)) > 1
    assert texts == [told(again, index)["text"] for index in range(3)]


def test_a_choice_is_what_its_seed_says_alone(tiny: LanguageRuntime) -> None:
    both = question("Tell me a story.", sampling=Sampling(temperature=4.0, seed=5, max_tokens=24), choices=2)
    alone = question("Tell me a story.", sampling=Sampling(temperature=4.0, seed=6, max_tokens=24))
    (pair,), (single,) = ask(tiny, both, seconds=60), ask(tiny, alone, seconds=60)
    assert told(pair, 1)["text"] == told(single)["text"]
