"""A request as every step of the path sees it, whatever protocol it came by."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import msgspec

from penstock.core.deadline import NEVER, Deadline
from penstock.core.errors import PenstockError
from penstock.core.generation import Generation
from penstock.core.principal import ANYBODY, Principal
from penstock.core.reply import Reply
from penstock.core.tensors import Tensors


@dataclass(frozen=True, slots=True)
class Hints:
    """What a caller wishes of a route. `budget`: USD, or "standard" or "premium"; `quality`: 0 to 1; `max_latency_s`:
    to the last token; `session`: requests of one session stick together; `pin`: the model that is to answer.

    Of kept answers: `no_cache`: none is wanted; `no_store`: this one is not to be kept; `max_age_s`: the oldest that is
    wanted; `cached_only`: nothing else is.
    """

    budget: float | str | None = None
    quality: float | None = None
    max_latency_s: float | None = None
    session: str = ""
    pin: str = ""
    no_cache: bool = False
    no_store: bool = False
    max_age_s: float | None = None
    cached_only: bool = False


class Request(msgspec.Struct):
    """One request.

    `model` is the name the client used, `version` the version it asked for (None: the server
    decides). `outputs` are the wanted output names in order (None: all). `deadline` is a moment on
    the server's clock. `priority` 0 is the most urgent. `tenant`: who pays, for fair shares and limits; `principal`:
    the key's owner and what the key allows; `weight`: its share where tenants wait in one line, against 1 of others.
    `hints` are wishes that policies may read. `whole`: the answer is wanted in one piece, so nothing of it reaches the
    caller before its end.
    """

    id: str
    model: str
    payload: Tensors | Generation
    version: str | None = None
    outputs: tuple[str, ...] | None = None
    deadline: Deadline = NEVER
    priority: int = 1
    tenant: str | None = None
    hints: Hints | None = None
    principal: Principal = ANYBODY
    weight: float = 1.0
    whole: bool = False

    def to(self, model: str, version: str | None, deadline: Deadline, *, whole: bool) -> Request:
        """The same, for another model."""
        return Request(
            self.id,
            model,
            self.payload,
            version,
            self.outputs,
            deadline,
            self.priority,
            self.tenant,
            self.hints,
            self.principal,
            self.weight,
            whole,
        )


class Handler(Protocol):
    """Every step of the path: takes a request, gives a reply."""

    async def __call__(self, request: Request) -> Reply: ...


@runtime_checkable
class TakesAll(Protocol):
    """A step that takes requests of one caller to one model that belong together: all of them, or none."""

    async def all(self, requests: Sequence[Request]) -> list[Reply]: ...


async def together(asks: Iterable[Callable[[], Awaitable[Reply]]]) -> list[Reply]:
    """The replies to all of these. Where one raises, those before it are given up for the same reason: they are no
    answers that their caller did not want."""
    replies: list[Reply] = []
    try:
        for ask in asks:
            replies.append(await ask())
    except BaseException as error:
        give_up(replies, error)
        raise
    return replies


def give_up(replies: Iterable[Reply], reason: BaseException) -> None:
    """Gives up replies because of what became of another one that they belong to."""
    for reply in replies:
        if isinstance(reason, PenstockError):
            reply.abandon(reason)
        else:
            reply.close()
