"""A tiny language model of an invented world, trained by training/tiny, and questions whose answers are known."""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import urllib3

from penstock.core.errors import PenstockError, Unavailable

if TYPE_CHECKING:
    from rich.table import Table

MODEL = Path(__file__).parent / "tiny.gguf"
NAME = "tiny"
NEEDED = ("openvino_genai", "tokenizers", "jinja2")
ABOUT = "a language model of 2 million parameters (OpenAI's, Anthropic's and Ollama's API)"
QUESTIONS = (
    ("Which town is the capital of Gildan?", "The capital of Gildan is Mossgate."),
    ("Repeat: the heron flows over Quill", "the heron flows over Quill"),
    ("Count from 1 to 12.", "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12."),
)
PATIENCE_S = 60.0


class Said(msgspec.Struct, frozen=True):
    """One question, the model's answer to it, and how fast it came: tokens, milliseconds to the whole answer."""

    question: str
    wanted: str
    answer: str
    tokens: int = 0
    ms: float = 0.0
    failure: str = ""

    @property
    def good(self) -> bool:
        """Whether it is the one right answer."""
        return self.answer == self.wanted and not self.failure


def missing() -> list[str]:
    """The packages that the model needs, and that are not installed."""
    return [name.replace("_", "-") for name in NEEDED if importlib.util.find_spec(name) is None]


def models() -> dict[str, Any]:
    """The model as YAML has it."""
    return {NAME: {"source": str(MODEL), "options": {"context": 1024, "sequences": 8}}}


def talk(url: str) -> list[Said]:
    """Asks every question, as any client of OpenAI's API would."""
    with urllib3.PoolManager(timeout=PATIENCE_S, retries=False) as pool:
        return [_ask(pool, url, question, wanted) for question, wanted in QUESTIONS]


def _ask(pool: urllib3.PoolManager, url: str, question: str, wanted: str) -> Said:
    body = {"model": NAME, "temperature": 0, "messages": [{"role": "user", "content": question}]}
    began = time.perf_counter()
    try:
        said = _answer(pool, url, body)
    except (PenstockError, urllib3.exceptions.HTTPError, msgspec.MsgspecError, KeyError) as error:
        return Said(question, wanted, "", failure=str(error)[:200])
    ms = (time.perf_counter() - began) * 1000
    answer = said["choices"][0]["message"]["content"]
    return Said(question, wanted, answer, said["usage"]["completion_tokens"], ms)


def _answer(pool: urllib3.PoolManager, url: str, body: dict[str, Any]) -> dict[str, Any]:
    response = pool.request("POST", f"{url}/v1/chat/completions", json=body)
    said: dict[str, Any] = msgspec.json.decode(response.data)
    if response.status != 200:
        raise Unavailable(str(said.get("error", {}).get("message", response.status)))
    return said


def table(said: list[Said]) -> Table:
    """One line per question."""
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("asked", "answered"):
        made.add_column(name)
    made.add_column("tokens/s", justify="right")
    for one in said:
        rate = f"{1000 * one.tokens / one.ms:.0f}" if one.ms else ""
        made.add_row(one.question, one.answer or one.failure, rate, style=None if one.good else "red")
    return made


def complaints(said: list[Said]) -> list[str]:
    """What went wrong, if anything."""
    return [
        f"{NAME}: {one.question!r}: {one.failure or f'{one.answer!r} instead of {one.wanted!r}'}"
        for one in said
        if not one.good
    ]
