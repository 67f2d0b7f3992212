"""A kept answer as bytes: the same in memory and in Redis. No pickle; what does not fit its key is no answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

import msgspec

from penstock.core.errors import BadInput
from penstock.core.generation import CallArguments, Event, Generated, Reasoning, Text, Usage
from penstock.core.reply import Meta, Reply
from penstock.core.tensors import Tensor, Tensors, from_raw, to_raw

MAGIC = b"PSA1"
_START = len(MAGIC) + 32


class Output(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One output tensor; `raw`: its little-endian bytes."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    raw: bytes


class Record(msgspec.Struct, array_like=True, frozen=True):
    """An answer. `at`: when it was given (Unix time, seconds); who gave it. Texts: `events` and `usage`; else
    `outputs`."""

    at: float
    model: str
    version: str
    events: list[Event] = []
    usage: Usage | None = None
    outputs: list[Output] = []

    def sound(self) -> bool:
        """Whether its tensors are what they say they are."""
        try:
            return all(_tensor(output) for output in self.outputs)
        except BadInput:
            return False

    def give(self, meta: Meta) -> Reply:
        """A reply that has ended with this answer. Arrays are read-only."""
        meta.model, meta.version, meta.usage, meta.cost = self.model, self.version, self.usage, 0.0
        meta.cache = "hit"
        reply = Reply(meta)
        if self.usage is None:
            reply.settle({output.name: _tensor(output) for output in self.outputs})
        else:
            for event in self.events:
                reply.emit(event)
            reply.settle(Generated(self.usage))
        return reply


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Record).decode


def record_of(at: float, meta: Meta, events: Iterable[Event], outcome: Tensors | Generated) -> Record:
    """What is kept of an answer."""
    if isinstance(outcome, Generated):
        return Record(at, meta.model, meta.version, merged(events), outcome.usage)
    return Record(at, meta.model, meta.version, outputs=[_output(name, t) for name, t in outcome.items()])


def packed(key: bytes, record: Record) -> bytes:
    """A record's bytes, which name the key that they are the answer to."""
    return MAGIC + key + _encode(record)


def unpacked(key: bytes, data: bytes) -> Record | None:
    """The record; None for anything but the answer to this key."""
    if data[: len(MAGIC)] != MAGIC or data[len(MAGIC) : _START] != key:
        return None
    try:
        return _decode(memoryview(data)[_START:])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def merged(events: Iterable[Event]) -> list[Event]:
    """The same events with runs of texts of one kind and choice put together: fewer to keep and to give."""
    found: list[Event] = []
    for place, group in groupby(events, _place):
        run = list(group)
        found.extend(run if place is None or len(run) == 1 else [_joined(run)])
    return found


def _place(event: Event) -> tuple[Any, ...] | None:
    if isinstance(event, Text | Reasoning):
        return type(event), event.choice
    return (CallArguments, event.choice, event.call) if isinstance(event, CallArguments) else None


def _joined(run: Sequence[Any]) -> Event:
    first = run[0]
    text, tokens = "".join([event.text for event in run]), sum([event.tokens for event in run])
    if isinstance(first, Text):
        return Text(first.choice, text, tuple([known for event in run for known in event.logprobs]), tokens)
    changed: Event = msgspec.structs.replace(first, text=text, tokens=tokens)
    return changed


def _output(name: str, tensor: Tensor) -> Output:
    return Output(name, tensor.datatype, tensor.array.shape, bytes(to_raw(tensor)))


def _tensor(output: Output) -> Tensor:
    return Tensor(output.datatype, from_raw(output.datatype, output.shape, output.raw))
