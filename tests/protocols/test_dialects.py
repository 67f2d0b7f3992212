"""Whatever an answer is made of and however it is cut: who reads the stream hears what the whole answer says, a stream
ends once with every block closed, and a call that the length cut short is no part of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.clock import StillClock
from penstock.core.generation import (
    CallArguments,
    CallStarted,
    Event,
    Generated,
    Reason,
    Reasoning,
    Sampling,
    Started,
    Stopped,
    Text,
    Usage,
)
from penstock.core.reply import Meta
from penstock.protocols.anthropic import events as anthropic
from penstock.protocols.generation.answers import Parts
from penstock.protocols.ollama import lines as ollama
from penstock.protocols.openai.chat.answer import ChatChunks, chat_answer
from penstock.protocols.openai.chat.request import ChatRequest
from penstock.protocols.openai.responses.answer import Growing
from penstock.protocols.openai.responses.request import ResponsesRequest
from tests.protocols import hearing
from tests.protocols.hearing import Heard
from tests.runtimes.generation.scripted import ScriptedEngine
from tests.runtimes.generation.talk import CHATML, WEATHER, ask, chat, ids, runtime

PIECE = st.text("ab 🚲\n", max_size=4)
PIECES = st.lists(PIECE, max_size=4)
PARTS = st.lists(st.tuples(st.sampled_from(["text", "thought", "call"]), PIECES), max_size=6)
REASONS = st.sampled_from(["stop", "length", "tool_calls"])
Story = Sequence[Event | Generated]


def story(parts: list[tuple[str, list[str]]], reason: Reason, whole: bool = False) -> Story:
    """An answer of these parts; `whole`: each in one event. Neighbours of one kind are one part."""
    told: list[Event | Generated] = [Started(7, 3)]
    call = -1
    for kind, group in groupby(parts, key=lambda part: part[0]):
        together = list(group)
        for pieces in [p for _, p in together] if kind == "call" else [[x for _, p in together for x in p]]:
            if kind == "call":
                call += 1
                said = ['{"a": 1}'] if whole else ['{"a": 1', "}"]
                told.append(CallStarted(0, call, f"call_{call}", "tool"))
                told += [CallArguments(0, call, piece) for piece in said]
            else:
                said = ["".join(pieces)] if whole else pieces
                told += [(Text if kind == "text" else Reasoning)(0, piece) for piece in said]
    return [*told, Stopped(0, reason), Generated(Usage(7, 3, 5))]


# --- each dialect: what the stream says, and what the whole does


def in_messages(told: Story) -> tuple[Heard, Heard]:
    wires = list(written(anthropic.Writer("m"), told))
    return hearing.messages_streamed(wires), hearing.messages_whole(anthropic.whole(wires))


def in_ollama(told: Story) -> tuple[Heard, Heard]:
    lines = list(written(ollama.Writer("m", "chat", Meta(), StillClock()), told))
    return hearing.ollama_streamed(lines), hearing.ollama_whole(ollama.whole(lines))


def in_chat(told: Story) -> tuple[Heard, Heard]:
    message, parts, (events, usage) = ChatRequest(model="m", messages=[]), Parts(), ended(told)
    chunks = ChatChunks(message, 1)
    streamed = [chunk for event in events for chunk in chunks.chunks(event)]
    for event in events:
        parts.add(event)
    return hearing.chat_streamed(streamed), hearing.chat_whole(chat_answer(message, parts.answer(usage), {}))


def in_responses(told: Story) -> tuple[Heard, Heard]:
    message, (events, usage) = ResponsesRequest(model="m", input="hi"), ended(told)
    growing, at_once = Growing(message, "auto"), Growing(message, "auto")
    streamed = [found for event in events for found in growing.add(event)] + growing.completed(usage, {})
    for event in events:
        at_once.add(event)
    return hearing.responses_streamed(streamed), hearing.responses_whole(at_once.body(usage, {}))


DIALECTS = {
    in_messages: ("max_tokens", "tool_use"),
    in_ollama: ("length", "stop"),
    in_chat: ("length", "tool_calls"),
    in_responses: ("max_output_tokens", "completed"),
}
"""With the words for the length, and for calls."""


@given(PARTS, REASONS, st.sampled_from(list(DIALECTS)))
def test_a_stream_says_what_the_whole_says(parts: list[tuple[str, list[str]]], reason: Reason, dialect: Any) -> None:
    streamed, whole = dialect(story(parts, reason))
    assert streamed == whole == dialect(story(parts, reason, whole=True))[1]
    said = {kind: "".join(p for each, pieces in parts if each == kind for p in pieces) for kind in ("text", "thought")}
    assert (streamed.text, streamed.thoughts) == (said["text"], said["thought"])
    assert streamed.calls == [("tool", {"a": 1})] * sum(kind == "call" for kind, _ in parts)


@given(PARTS, REASONS)
def test_anthropic(parts: list[tuple[str, list[str]]], reason: Reason) -> None:
    wires = list(written(anthropic.Writer("m"), story(parts, reason)))
    kinds = [wire["type"] for wire in wires]
    assert (kinds[0], kinds[-2], kinds[-1]) == ("message_start", "message_delta", "message_stop")
    assert kinds.count("message_stop") == 1
    blocks = [kind for kind in kinds if kind in ("content_block_start", "content_block_stop")]
    assert blocks == ["content_block_start", "content_block_stop"] * (len(blocks) // 2)
    indexes = [wire["index"] for wire in wires if wire["type"] == "content_block_start"]
    assert indexes == list(range(len(indexes)))


@given(PARTS, REASONS, st.sampled_from(["chat", "generate"]))
def test_ollama(parts: list[tuple[str, list[str]]], reason: Reason, shape: ollama.Shape) -> None:
    lines = list(written(ollama.Writer("m", shape, Meta(), StillClock()), story(parts, reason)))
    assert hearing.ollama_streamed(lines) == hearing.ollama_whole(ollama.whole(lines))
    assert [line["done"] for line in lines] == [False] * (len(lines) - 1) + [True]


# --- the length cuts calls


SAID = "the dog"
CALL = '<tool_call>\n{"name": "weather", "arguments": {"city": "Oslo"}}\n</tool_call>'
SCRIPT = f"<think>the fox</think>{SAID}\n{CALL}"


@pytest.fixture(scope="module")
def cut() -> Iterator[Sequence[Story]]:
    """The same answer of a model, ended by the length after every number of tokens."""
    made = runtime(ScriptedEngine(ids(SCRIPT)), chat_template=CHATML + "{# tools <tool_call> <think></think> #}")
    lengths = range(1, len(ids(SCRIPT)) + 2)
    yield ask(made, *[chat(tools=(WEATHER,), sampling=Sampling(max_tokens=most)) for most in lengths])
    made.close()


@pytest.mark.parametrize("dialect", list(DIALECTS))
def test_a_call_that_the_length_cut_is_heard_by_nobody(cut: Sequence[Story], dialect: Any) -> None:
    length, called = DIALECTS[dialect]
    heard = []
    for told in cut:
        streamed, whole = dialect(told)
        assert streamed == whole
        assert f"{SAID}\n".startswith(streamed.text)
        heard.append(streamed)
    *short, last = heard
    assert last == Heard(SAID, "the fox", [("weather", {"city": "Oslo"})], called)
    assert {each.reason for each in short} == {length}
    whole_calls = [bool(each.calls) for each in short]
    assert whole_calls == sorted(whole_calls)
    assert whole_calls.count(False) > len(ids(CALL)) // 2


def written(writer: Any, told: Story) -> Iterator[Any]:
    for event in told:
        yield from writer.write(event)


def ended(told: Story) -> tuple[list[Event], Usage]:
    """The events before the end, and what the end says."""
    *events, end = told
    assert isinstance(end, Generated)
    return events, end.usage  # type: ignore[return-value]
