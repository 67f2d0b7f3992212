"""The tiny model on a real engine, and what comes of asking it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from penstock.cli import demo
from penstock.core.generation import Generation, Message, Sampling, Tool
from penstock.core.model import ModelSpec
from penstock.repository.gguf import describe
from penstock.runtimes.generation.runtime import LanguageRuntime
from tests.runtimes.generation.talk import ask, told, well

PATH = Path(demo.__file__).parent / "tiny.gguf"
GREEDY = Sampling(temperature=0.0, max_tokens=120)
TOWN = {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]}
WEATHER = Tool("get_weather", "", TOWN)


def loaded(engine: str, **settings: Any) -> LanguageRuntime:
    """A runtime with the tiny model on this engine."""
    model = msgspec.structs.replace(describe(PATH), engine=engine, context=1024, **settings)
    made = LanguageRuntime()
    options: dict[str, Any] = msgspec.to_builtins(model)
    made.load(ModelSpec(name="tiny", runtime="llm", path=str(PATH), format="gguf", options=options, threads=2))
    return made


def question(text: str, **more: Any) -> Generation:
    return Generation(messages=(Message("user", text),), **{"sampling": GREEDY, **more})


def answer(made: LanguageRuntime, text: str, **more: Any) -> dict[str, Any]:
    (events,) = ask(made, question(text, **more), seconds=60)
    well(events)
    return told(events)
