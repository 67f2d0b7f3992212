"""Answers without a model: a constant, or what a function of the configuration gives."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np

from penstock.core.errors import ModelFailed, Unavailable
from penstock.core.generation import Generated, Generation, Started, Stopped, Text, Usage
from penstock.core.reply import Meta, Reply
from penstock.core.request import Request
from penstock.core.tensors import Tensor, Tensors, bytes_array, datatype_of
from penstock.routing.settings import RuleSettings

Function = Callable[[Any], Any]
"""Gets the last thing that was said, or the input tensors as arrays by name; gives a text, or arrays by name."""


class Rule:
    """`function`: the settings' own, imported by whoever made this; None where the rule is a constant."""

    def __init__(self, settings: RuleSettings, function: Function | None = None):
        self._settings = settings
        self._function = function

    async def reply(self, request: Request) -> Reply:
        """The answer. Raises `Unavailable` where the rule has none for this kind of request, `ModelFailed` when its
        function raises."""
        reply = Reply(Meta("rule", ""))
        if isinstance(request.payload, Generation):
            _say(reply, await self._text(request.payload))
        else:
            reply.settle(await self._tensors(request.payload))
        return reply

    async def _text(self, generation: Generation) -> str:
        said = next((m.content for m in reversed(generation.messages) if m.role == "user"), "")
        found = self._settings.text if self._function is None else await self._called(said or generation.prompt)
        if not isinstance(found, str):
            raise Unavailable("no model answers now, and this route's rule says nothing to a text")
        return found

    async def _tensors(self, tensors: Tensors) -> Tensors:
        rows = next((tensor.array.shape[0] for tensor in tensors.values() if tensor.array.ndim), 1)
        if self._function is not None:
            found = await self._called({name: tensor.array for name, tensor in tensors.items()})
        else:
            found = {name: [value] * rows for name, value in (self._settings.outputs or {}).items()}
        if not isinstance(found, dict) or not found:
            raise Unavailable("no model answers now, and this route's rule has no outputs")
        return {name: array_tensor(value) for name, value in found.items()}

    async def _called(self, what: Any) -> Any:
        """What the function gives; it runs in a thread, so that a slow one holds up nobody."""
        assert self._function is not None
        try:
            return await asyncio.get_running_loop().run_in_executor(None, self._function, what)
        except Exception as error:
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
