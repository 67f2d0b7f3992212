"""However an answer is cut into events, its whole is the same; and a stream ends once, with every block closed."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

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
    Started,
    Stopped,
    Text,
    Usage,
)
from penstock.core.reply import Meta
from penstock.protocols.anthropic import events as anthropic
from penstock.protocols.ollama import lines as ollama

PIECE = st.text("ab 🚲\n", max_size=4)
PIECES = st.lists(PIECE, max_size=4)
PARTS = st.lists(st.tuples(st.sampled_from(["text", "thought", "call"]), PIECES), max_size=6)


def events(parts: list[tuple[str, list[str]]], reason: Reason, whole: bool) -> Iterator[Event | Generated]:
    """An answer of these parts; `whole`: each in one event. Neighbours of one kind are one part."""
    yield Started(7, 3)
    call = -1
    for kind, group in groupby(parts, key=lambda part: part[0]):
        together = list(group)
        for pieces in [p for _, p in together] if kind == "call" else [[x for _, p in together for x in p]]:
            said = ["".join(pieces)] if whole else pieces
            if kind == "call":
                call += 1
                yield CallStarted(0, call, f"call_{call}", "tool")
                said = ['{"a": 1', "}"] if not whole else ['{"a": 1}']
                yield from (CallArguments(0, call, piece) for piece in said)
            else:
                yield from ((Text if kind == "text" else Reasoning)(0, piece) for piece in said)
    yield Stopped(0, reason)
    yield Generated(Usage(7, 3, 5))


@given(PARTS, st.sampled_from(["stop", "length", "tool_calls"]))
def test_anthropic(parts: list[tuple[str, list[str]]], reason: Reason) -> None:
    wires = [list(written(anthropic.Writer("m"), events(parts, reason, whole))) for whole in (False, True)]
    messages = [anthropic.whole(each) for each in wires]
    for message in messages:
        del message["id"]
    assert messages[0] == messages[1]
    kinds = [wire["type"] for wire in wires[0]]
    assert (kinds[0], kinds[-2], kinds[-1]) == ("message_start", "message_delta", "message_stop")
    assert kinds.count("message_stop") == 1
    blocks = [kind for kind in kinds if kind in ("content_block_start", "content_block_stop")]
    assert blocks == ["content_block_start", "content_block_stop"] * (len(blocks) // 2)
    indexes = [wire["index"] for wire in wires[0] if wire["type"] == "content_block_start"]
    assert indexes == list(range(len(indexes)))


@given(PARTS, st.sampled_from(["stop", "length", "tool_calls"]), st.sampled_from(["chat", "generate"]))
def test_ollama(parts: list[tuple[str, list[str]]], reason: Reason, shape: ollama.Shape) -> None:
    lines = [
        list(written(ollama.Writer("m", shape, Meta(), StillClock()), events(parts, reason, whole)))
        for whole in (False, True)
    ]
    answers = [ollama.whole(each) for each in lines]
    for answer in answers:
        del answer["created_at"]
    assert answers[0] == answers[1]
    assert [line["done"] for line in lines[0]] == [False] * (len(lines[0]) - 1) + [True]


def written(writer: Any, story: Iterator[Event | Generated]) -> Iterator[Any]:
    for event in story:
        yield from writer.write(event)
