"""Answers without a model: a constant, or what a function of the configuration gives."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from penstock.core.clock import Clock, system_clock
from penstock.core.deadline import NEVER, Deadline
from penstock.core.errors import DeadlineExceeded, ModelFailed, Unavailable
from penstock.core.generation import Generated, Generation, Started, Stopped, Text, Usage
from penstock.core.reply import Meta, Reply
from penstock.core.request import Request
from penstock.core.tensors import Tensor, Tensors, bytes_array, datatype_of
from penstock.routing.settings import RuleSettings
from penstock.routing.threads import Threads

THREADS = 8
"""Calls of one rule's function that run at once."""
LINE = 256
"""Calls of it that wait for a thread."""
Function = Callable[[Any], Any]
"""Gets the last thing that was said, or the input tensors as arrays by name; gives a text, or arrays by name."""


class Rule:
    """`function`: the settings' own, imported by whoever made this; None where the rule is a constant."""

    def __init__(self, settings: RuleSettings, function: Function | None = None, clock: Clock = system_clock):
        self._settings = settings
        self._function = function
        self._clock = clock
        self._threads = Threads(THREADS, LINE)

    async def reply(self, request: Request, deadline: Deadline = NEVER) -> Reply:
        """The answer. Raises `Unavailable` where the rule has none for this kind of request; where its function raises
        `ModelFailed`, where it takes longer than the deadline `DeadlineExceeded`, where too many wait for it
        `Overloaded`."""
        reply = Reply(Meta("rule", ""))
        if isinstance(request.payload, Generation):
            _say(reply, await self._text(request.payload, deadline))
        else:
            reply.settle(await self._tensors(request.payload, deadline))
        return reply

    async def _text(self, generation: Generation, deadline: Deadline) -> str:
        said = next((m.content for m in reversed(generation.messages) if m.role == "user"), "")
        found = self._settings.text
        if self._function is not None:
            found = await self._called(self._function, said or generation.prompt, deadline)
        if not isinstance(found, str):
            raise Unavailable("no model answers now, and this route's rule says nothing to a text")
        return found

    async def _tensors(self, tensors: Tensors, deadline: Deadline) -> Tensors:
        rows = next((tensor.array.shape[0] for tensor in tensors.values() if tensor.array.ndim), 1)
        if self._function is not None:
            arrays = {name: tensor.array for name, tensor in tensors.items()}
            found = await self._called(self._function, arrays, deadline)
        else:
            found = {name: [value] * rows for name, value in (self._settings.outputs or {}).items()}
        if not isinstance(found, dict) or not found:
            raise Unavailable("no model answers now, and this route's rule has no outputs")
        return {name: array_tensor(value) for name, value in found.items()}

    async def _called(self, function: Function, what: Any, deadline: Deadline) -> Any:
        """What the function gives; it runs in a thread, so that a slow one holds up nobody."""
        called = asyncio.wrap_future(self._threads.call(partial(_tried, function), what))
        try:
            # Not asyncio.timeout: the path runs without a task.
            done, _ = await asyncio.wait((called,), timeout=self._left(deadline))
        finally:
            called.cancel()
        if not done:
            raise DeadlineExceeded("the route's rule took too long")
        return called.result()

    def _left(self, deadline: Deadline) -> float | None:
        return None if deadline == NEVER else max(0.0, deadline - self._clock())


def _tried(function: Function, what: Any) -> Any:
    """What a function gives. Raises `ModelFailed` whatever it raises, also what would end a process."""
    try:
        return function(what)
    except BaseException as error:
        raise ModelFailed("the route's rule failed on this request", detail=repr(error)) from error


def _say(reply: Reply, text: str) -> None:
    for event in (Started(0), Text(0, text), Stopped(0, "stop")):
        reply.emit(event)
    reply.settle(Generated(Usage()))


def array_tensor(values: Any) -> Tensor:
    """Plain values as a tensor of the datatype that numpy finds; texts are BYTES."""
    array = np.asarray(values)
    if array.dtype.kind in "US":
        return Tensor("BYTES", bytes_array(array))
    return Tensor(datatype_of(array), array)
