"""Kept answers as bytes: whole again, and nothing that they are not."""

from __future__ import annotations

import random

import numpy as np
import pytest

from penstock.core.generation import (
    CallArguments,
    CallStarted,
    Event,
    Generated,
    Reasoning,
    Started,
    Stopped,
    Text,
    TokenLogprob,
    Usage,
)
from penstock.core.reply import Meta
from penstock.core.tensors import DTYPES, Tensor, object_array
from penstock.routing.responses.record import merged, packed, record_of, unpacked

KEY, OTHER = b"k" * 32, b"o" * 32
LOGPROB = TokenLogprob("é", b"\xc3", -0.5, (("a", b"a", -1.0),))
EVENTS: list[Event] = [
    Started(5, 2, (1, 2)),
    Reasoning(0, "hm", 1),
    Reasoning(0, "m", 1),
    Text(0, "He", (LOGPROB,), 1),
    Text(0, "llo", (LOGPROB,), 2),
    Text(1, "Hi", tokens=1),
    CallStarted(0, 0, "id", "clock", 1),
    CallArguments(0, 0, "{", 1),
    CallArguments(0, 0, "}", 1),
    CallArguments(0, 1, "[]", 1),
    Stopped(0, "tool_calls"),
    Stopped(1, "stop", "END", 1),
]
USAGE = Usage(5, 2, 11, 2, 1, 1)


def meta() -> Meta:
    return Meta("small", "3")


def test_runs_of_texts_are_put_together() -> None:
    assert merged(EVENTS) == [
        Started(5, 2, (1, 2)),
        Reasoning(0, "hmm", 2),
        Text(0, "Hello", (LOGPROB, LOGPROB), 3),
        Text(1, "Hi", tokens=1),
        CallStarted(0, 0, "id", "clock", 1),
        CallArguments(0, 0, "{}", 2),
        CallArguments(0, 1, "[]", 1),
        Stopped(0, "tool_calls"),
        Stopped(1, "stop", "END", 1),
    ]
    assert merged([]) == []


def test_a_text_comes_back_as_it_was() -> None:
    record = unpacked(KEY, packed(KEY, record_of(5.5, meta(), EVENTS, Generated(USAGE))))
    assert record is not None
    reply = record.give(Meta())
    assert (record.at, reply.meta.model, reply.meta.version) == (5.5, "small", "3")
    assert (reply.meta.cache, reply.meta.cost, reply.meta.usage) == ("hit", 0.0, USAGE)
    assert reply.take() == merged(EVENTS)
    assert reply.generated().usage == USAGE


@pytest.mark.parametrize("datatype", DTYPES)
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (0, 4)])
def test_tensors_come_back_as_they_were(datatype: str, shape: tuple[int, ...]) -> None:
    size = int(np.prod(shape))
    if datatype == "BYTES":
        array = object_array([b"\0" * place for place in range(size)], shape)
    else:
        array = (np.arange(size) % 2).astype(DTYPES[datatype]).reshape(shape)
    outputs = {"b": Tensor(datatype, array), "a": Tensor("FP64", np.array([np.nan, np.inf, -0.0]))}
    record = unpacked(KEY, packed(KEY, record_of(0.0, meta(), (), outputs)))
    assert record is not None
    assert record.sound()
    found = record.give(Meta()).tensors()
    assert list(found) == ["b", "a"]
    assert found["b"].datatype == datatype
    assert found["b"].array.shape == shape
    assert found["b"].array.tolist() == array.tolist()
    assert found["a"].array.tobytes() == outputs["a"].array.tobytes()


def test_the_answer_to_another_key_is_none() -> None:
    data = packed(KEY, record_of(0.0, meta(), EVENTS, Generated(USAGE)))
    assert unpacked(OTHER, data) is None
    assert unpacked(KEY, OTHER + data) is None


def test_damaged_bytes_are_no_answer_and_no_error() -> None:
    outputs = {"y": Tensor("BYTES", object_array([b"one", b"two"], (2,)))}
    texts = packed(KEY, record_of(0.0, meta(), EVENTS, Generated(USAGE)))
    tensors = packed(KEY, record_of(0.0, meta(), (), outputs))
    rng = random.Random(5)
    for data in (texts, tensors):
        for place in range(len(data)):
            changed = bytearray(data)
            changed[place] = rng.randrange(256)
            for damaged in (bytes(changed), data[:place]):
                record = unpacked(KEY, damaged)
                if record is not None and record.sound():
                    record.give(Meta())
    assert unpacked(KEY, b"") is None
    assert unpacked(KEY, packed(KEY, record_of(0.0, meta(), EVENTS, Generated(USAGE)))[:36] + b"\x91" * 5000) is None
