"""A runtime on the scripted engine, and what comes of asking it."""

from __future__ import annotations

import time
from typing import Any

from penstock.core.errors import PenstockError
from penstock.core.generation import (
    CallArguments,
    CallStarted,
    Event,
    Generated,
    Generation,
    Message,
    Reasoning,
    Started,
    Stopped,
    Text,
    Tool,
)
from penstock.core.model import ModelSpec
from penstock.runtimes.generation.runtime import LanguageRuntime
from tests.runtimes.generation.scripted import ScriptedEngine
from tests.runtimes.generation.words import tokenizer

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
)
WEATHER = Tool("weather", "Says how the weather is.", {"type": "object", "properties": {"city": {"type": "string"}}})
ADD = Tool("add", "Adds.", {"type": "object"})


def runtime(engine: ScriptedEngine, **options: Any) -> LanguageRuntime:
    """A loaded runtime whose engine is this one."""
    options = {"engine": "openvino", "context": 256, "eos": [1], "bos": 0, **options}
    made = LanguageRuntime(lambda name: engine)
    made.load(ModelSpec(name="m", runtime="llm", path="m.gguf", format="gguf", options=options))
    return made


def ask(made: LanguageRuntime, *generations: Generation, seconds: float = 20) -> list[list[Any]]:
    """Everything that comes of these requests, asked at once: for each its events and its one end."""
    for id, generation in enumerate(generations):
        made.submit(id, generation)
    heard: list[list[Any]] = [[] for _ in generations]
    until = time.monotonic() + seconds
    while not all(events and ending(events[-1]) for events in heard):
        assert time.monotonic() < until, "no end of it"
        news = made.step()
        for id, event in news:
            heard[id].append(event)
        if not news and not made.busy:
            time.sleep(0.002)
    assert not made.step()
    assert not made.busy
    return heard


def ending(event: object) -> bool:
    return isinstance(event, (Generated, PenstockError))


def ids(text: str) -> list[int]:
    return tokenizer().encode(text)


def chat(text: str = "hello", **more: Any) -> Generation:
    return Generation(messages=(Message("user", text),), **more)


def told(events: list[Event], index: int = 0) -> dict[str, Any]:
    """One choice put together: what does not depend on how it was cut."""
    mine = [event for event in events if getattr(event, "choice", None) == index]
    calls: dict[int, list[str]] = {}
    for event in mine:
        if isinstance(event, CallStarted):
            calls[event.call] = [event.name, ""]
        elif isinstance(event, CallArguments):
            calls[event.call][1] += event.text
    stopped = [event for event in mine if isinstance(event, Stopped)]
    assert len(stopped) == 1
    assert mine[-1] is stopped[0]
    return {
        "text": "".join(event.text for event in mine if isinstance(event, Text)),
        "logprobs": [each for event in mine if isinstance(event, Text) for each in event.logprobs],
        "reasoning": "".join(event.text for event in mine if isinstance(event, Reasoning)),
        "calls": [tuple(call) for call in calls.values()],
        "reason": stopped[0].reason,
        "stop": stopped[0].stop,
        "tokens": sum(event.tokens for event in mine),
    }


def well(events: list[Any]) -> tuple[Started, Generated]:
    """The beginning and the end of a reply that went well, each there once."""
    assert isinstance(events[0], Started)
    assert isinstance(events[-1], Generated)
    assert sum(isinstance(event, Started) or ending(event) for event in events) == 2
    return events[0], events[-1]
