"""A request as every step of the path sees it, whatever protocol it came by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from penstock.core.deadline import NEVER, Deadline
from penstock.core.generation import Generation
from penstock.core.reply import Reply
from penstock.core.tensors import Tensors


@dataclass(slots=True)
class Request:
    """One request.

    `model` is the name the client used, `version` the version it asked for (None: the server
    decides). `outputs` are the wanted output names in order (None: all). `deadline` is a moment on
    the server's clock. `priority` 0 is the most urgent. `hints` are wishes that policies may read.
    """

    id: str
    model: str
    payload: Tensors | Generation
    version: str | None = None
    outputs: tuple[str, ...] | None = None
    deadline: Deadline = NEVER
    priority: int = 1
    tenant: str | None = None
    hints: dict[str, str] | None = None


class Handler(Protocol):
    """Every step of the path: takes a request, gives a reply."""

    async def __call__(self, request: Request) -> Reply: ...
