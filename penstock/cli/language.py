"""Language models in the table of a server that is up: what runs them and why, how much fits, and what it takes."""

from __future__ import annotations

import json
import shlex
from typing import Protocol

import msgspec

from penstock.core.language import LanguageModel
from penstock.core.model import ModelSpec
from penstock.runtimes.generation import choice, memory

QUESTION = "Who are you?"


class Shown(Protocol):
    """A model version as the table sees it."""

    @property
    def spec(self) -> ModelSpec: ...


def described(spec: ModelSpec) -> LanguageModel | None:
    """The language model of a spec; None for a model of another kind."""
    return msgspec.convert(spec.options, LanguageModel) if spec.runtime == "llm" else None


def cells(model: LanguageModel) -> list[str]:
    """What runs it, what it takes and what it gives."""
    takes = "messages, prompt" if model.chat_template else "prompt"
    return [f"{model.engine} {model.quantization}".strip(), takes, "text"]


def notes(shown: Shown) -> list[str]:
    """What a table has no room for."""
    model = described(shown.spec)
    if model is None:
        return []
    where = choice.place(model.engine, shown.spec.device)
    needs = memory.estimate(model, model.engine, context=model.context, sequences=model.sequences, device=where)
    shorter = 0 < model.context < model.trained_context
    trained = f" (it was trained on {model.trained_context})" if shorter else ""
    return [
        f"{shown.spec.name}: on {model.engine}: {model.reason}",
        f"  context {model.context} tokens{trained}, {model.sequences} answers at once, "
        f"{memory.in_words(needs.total)} of memory when all are full",
    ]


def curl(name: str, model: LanguageModel, url: str) -> str:
    """A command that asks the model."""
    if model.chat_template:
        return chat(name, url)
    text = {"model": name, "prompt": "Once upon a time", "max_tokens": 32}
    return f"curl {url}/v1/completions -H 'Content-Type: application/json' -d {shlex.quote(json.dumps(text))}"


def chat(name: str, url: str) -> str:
    """A command that asks a model that has conversations."""
    body = {"model": name, "messages": [{"role": "user", "content": QUESTION}]}
    return f"curl {url}/v1/chat/completions -H 'Content-Type: application/json' -d {shlex.quote(json.dumps(body))}"
