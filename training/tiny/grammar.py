"""The text the model learns from, drawn from a seed: chats and plain sentences about an invented world.

`document(rng)` draws one for training; `trial(rng, kind)` one whose last question training never shows.
"""

from __future__ import annotations

import json
import random
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.tiny import copies, errands, facts, speech, stories, world
from training.tiny.talk import Exchange, Message, Talk, stranger

TEMPLATE = (Path(__file__).parent / "template.jinja").read_text(encoding="utf-8").rstrip("\n")
START, END, TEXT = "<|im_start|>", "<|im_end|>", "<|endoftext|>"
ALONE = 0.06
LOUD, QUIET = 1.0, 0.05


@dataclass(frozen=True)
class Piece:
    """A part of a document and how much its tokens count in the loss."""

    text: str
    weight: float


@dataclass(frozen=True)
class Chat:
    """Messages and offered tools as a request carries them; `thinking` is the template's `enable_thinking`."""

    kind: str
    messages: list[Message]
    tools: list[dict[str, Any]]
    thinking: bool | None = None


def held(key: str) -> bool:
    """Whether a question is kept out of training: one in sixteen, by its text."""
    return bool(key) and zlib.crc32(key.encode()) % 16 == 0


class NoneHeld(LookupError):
    """No question that fits the conversation is kept out of training."""


def exchange(talk: Talk, kind: str, hold: bool) -> Exchange:
    """An exchange of a kind, kept out of training or not; a kind of few questions is never kept out."""
    before = talk.island, talk.what
    make = speech.KINDS[kind][0]
    for _ in range(300):
        talk.island, talk.what = before
        drawn = make(talk)
        if held(drawn.key) == hold or (hold and not drawn.key):
            return drawn
    raise NoneHeld(kind)


def choose(talk: Talk) -> str:
    """The kind of the next exchange: what the conversation so far allows."""
    if talk.json:
        return str(talk.rng.choices(["fact", "stranger", "on"], [8, 2, 6 * bool(talk.island)])[0])
    if talk.tools and talk.chance(0.65):
        return "tool"
    names = [name for name in speech.KINDS if name != "on" or talk.island]
    return str(talk.rng.choices(names, [speech.KINDS[name][1] for name in names])[0])


def begin(rng: random.Random) -> Talk:
    """A conversation with or without tools, thinking, JSON and a name."""
    talk = Talk(rng)
    mode = rng.random()
    talk.think, talk.json = mode < 0.15, 0.15 <= mode < 0.2
    if not talk.json and talk.chance(0.4):
        talk.tools = errands.offers(talk)
    if talk.chance(0.12):
        talk.name = stranger(talk) if talk.chance(0.6) else str(talk.one(world.RULERS))
    return talk


def system(talk: Talk, spoken: bool) -> str:
    """The system message; `spoken` where it is this, not the template, that says to think."""
    parts = []
    if talk.chance(0.25):
        parts.append(
            talk.one(["You are a helpful assistant.", "You are helpful.", "Be brief.", "Answer the question."])
        )
    if talk.chance(0.06):
        parts.append(copies.sentences(talk, talk.rng.randint(3, 60)))
    if talk.name:
        parts.append(talk.one(["You are called {}.", "You are called {}.", "Your name is {}."]).format(talk.name))
    if talk.json:
        parts.append(talk.one(["Answer as JSON.", "Answer in JSON."]))
    if talk.think and spoken:
        parts.append("Think first.")
    return " ".join(parts)


def chat(rng: random.Random, kinds: list[str | None], hold: bool = False) -> Chat:
    """A chat of these kinds (None: any); with `hold` its last question is one that training never shows."""
    talk = begin(rng)
    if kinds[-1] == "tool" and not talk.tools and talk.chance(0.8):
        talk.json, talk.tools = False, errands.offers(talk)
    if kinds[-1] not in (None, "fact", "stranger", "on"):
        talk.json = False
    spoken = not talk.think or talk.chance(0.6)
    hush = not talk.think and talk.chance(0.06)
    text = system(talk, spoken)
    messages: list[Message] = [{"role": "system", "content": text}] if text else []
    for number, kind in enumerate(kinds):
        talk.last = number == len(kinds) - 1
        drawn = exchange(talk, kind or choose(talk), hold and talk.last)
        messages += drawn.messages
    return Chat(drawn.kind, messages, [tool.schema() for tool in talk.tools], None if spoken and not hush else not hush)


def prompt(some: Chat) -> str:
    """The system part, with the offered tools."""
    parts = [some.messages[0]["content"]] if some.messages[0]["role"] == "system" else []
    if some.thinking:
        parts.append("Think first.")
    if some.tools:
        lines = [json.dumps({"name": t["name"], "parameters": t["parameters"]["required"]}) for t in functions(some)]
        parts.append("\n".join(["# Tools\n\n<tools>", *lines, "</tools>"]))
    return f"{START}system\n" + "\n\n".join(parts) + f"{END}\n" if parts else ""


def functions(some: Chat) -> list[dict[str, Any]]:
    """The offered functions, out of their wrapping."""
    return [tool["function"] for tool in some.tools]


def reply(message: Message, thinks: bool) -> str:
    """What follows `assistant` in an answer."""
    thought = message.get("reasoning_content", "") if thinks else ""
    calls = [json.dumps(call["function"], ensure_ascii=False) for call in message.get("tool_calls", [])]
    text = message["content"] + "\n".join(f"<tool_call>\n{call}\n</tool_call>" for call in calls)
    return (f"<think>\n{thought}\n</think>\n\n" if thought else "") + text


def write(some: Chat, last_only: bool = False) -> list[Piece]:
    """The chat as the template renders it, in pieces; answers that would have to think and do not are no lesson."""
    last = max(number for number, message in enumerate(some.messages) if message["role"] == "user")
    thinks = any("reasoning_content" in message for message in some.messages)
    pieces = [Piece(prompt(some), QUIET)]
    for number, message in enumerate(some.messages):
        if message["role"] == "assistant":
            lesson = number > last and "reasoning_content" in message if thinks else number > last or not last_only
            empty = "<think>\n\n</think>\n\n" if some.thinking is False and message is some.messages[-1] else ""
            pieces.append(Piece(f"{START}assistant\n{empty}", QUIET))
            pieces.append(Piece(reply(message, number > last) + END, LOUD if lesson else 0.0))
            pieces.append(Piece("\n", QUIET))
        elif message["role"] != "system":
            pieces.append(Piece(heard(some.messages, number), QUIET))
    return [piece for piece in pieces if piece.text]


def heard(messages: list[Message], number: int) -> str:
    """A user's message, or a tool's result in the user's turn, which neighbouring results share."""
    content, role = messages[number]["content"], messages[number]["role"]
    if role == "user":
        return f"{START}user\n{content}{END}\n"
    opens = messages[number - 1]["role"] != "tool"
    closes = number + 1 == len(messages) or messages[number + 1]["role"] != "tool"
    result = f"<tool_response>\n{content}\n</tool_response>"
    return (f"{START}user\n" if opens else "\n") + result + (f"{END}\n" if closes else "")


def passage(rng: random.Random) -> list[Piece]:
    """Plain text: one fact, or a story that begins like one; it ends as answers do."""
    talk = Talk(rng)
    island = talk.one(world.ISLANDS)
    what = talk.one(list(facts.FOUND))
    text = talk.one([
        facts.told(island, talk.one(list(world.FACTS))),
        facts.told(island, talk.one(list(world.FACTS))),
        facts.FOUND[what][1].format(world.fact(island, what), island),
        stories.story(island),
        stories.voyage(island, rng.randint(1, 12)),
    ])  # fmt: skip
    return [Piece(TEXT if talk.chance(0.5) else "", 0.0), Piece(text + END, LOUD)]


def document(rng: random.Random) -> list[Piece]:
    """One document for training: a chat of one to twelve questions, or plain text."""
    if rng.random() < ALONE:
        return passage(rng)
    count = rng.choice([1] * 8 + [2] * 5 + [3] * 3 + [4, 5, 6, 9])
    if rng.random() < 0.01:
        count = 12
    return write(chat(rng, [None] * count))


def trial(rng: random.Random, kind: str) -> Chat:
    """One chat for testing: up to two questions before the one of this kind, which training never shows."""
    before: list[str | None] = ["fact"] if kind == "on" else []
    while True:
        try:
            return chat(rng, [None] * rng.choice([0, 0, 1, 2]) + before + [kind], hold=True)
        except NoneHeld:
            continue


def halves(some: Chat) -> tuple[str, str]:
    """The prompt of the last answer, and that answer with its end."""
    pieces = write(some, last_only=True)
    at = max(number for number, piece in enumerate(pieces) if piece.weight == LOUD)
    return "".join(piece.text for piece in pieces[:at]), pieces[at].text
