"""Answers that follow a grammar: the tiny model on a real engine."""

from __future__ import annotations

import json
from collections.abc import Iterator

import msgspec
import pytest

from penstock.core.generation import Sampling
from penstock.runtimes.generation.choice import installed
from penstock.runtimes.generation.runtime import LanguageRuntime
from tests.runtimes.generation.tiny_talk import TOWN, WEATHER, answer, loaded


@pytest.fixture(scope="module", params=["openvino", "llamacpp"])
def tiny(request: pytest.FixtureRequest) -> Iterator[LanguageRuntime]:
    if not installed(request.param):
        pytest.skip(f"{request.param} is not installed")
    yield (made := loaded(request.param))
    made.close()


def test_a_schema_is_followed(tiny: LanguageRuntime) -> None:
    schema = {
        "type": "object",
        "properties": {"capital": {"type": "string", "maxLength": 20}},
        "required": ["capital"],
        "additionalProperties": False,
    }
    text = "Answer as JSON: which town is the capital of Gildan?"
    for think in (False, True):
        found = answer(tiny, text, format=schema, think=think)
        assert json.loads(found["text"]) == {"capital": "Mossgate"}
        assert bool(found["reasoning"]) == think


def test_who_wants_no_thoughts_gets_none_however_warm_it_is(tiny: LanguageRuntime) -> None:
    for seed in range(8):
        sampling = Sampling(temperature=1.5, seed=seed, max_tokens=60)
        found = answer(tiny, "Hello", format={"type": "boolean"}, think=False, sampling=sampling)
        assert (found["reasoning"], found["text"] in ("true", "false")) == ("", True)


def test_a_call_on_demand(tiny: LanguageRuntime) -> None:
    for choice in ("required", "=get_weather"):
        found = answer(tiny, "Who rules Gildan?", tools=(WEATHER,), tool_choice=choice)
        assert [name for name, _ in found["calls"]] == ["get_weather"]
        assert list(json.loads(found["calls"][0][1])) == ["town"]


def test_a_strict_tool_and_a_schema_leave_the_choice(tiny: LanguageRuntime) -> None:
    strict = msgspec.structs.replace(WEATHER, strict=True, parameters={**TOWN, "additionalProperties": False})
    assert answer(tiny, "What is the weather in Quill?", tools=(strict,))["calls"]
    assert answer(tiny, "Who rules Quill?", tools=(strict,))["text"] == "The ruler of Quill is Piet."
    asked = {"tools": (WEATHER,), "format": {}}
    assert answer(tiny, "What is the weather in Quill?", **asked)["calls"]
    assert json.loads(answer(tiny, "Answer as JSON: who rules Gildan?", **asked)["text"])
