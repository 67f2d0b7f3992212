"""A route with a response cache over scripted models, under a still clock."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import numpy as np

from penstock.core.clock import StillClock
from penstock.core.errors import PenstockError, UnknownModel
from penstock.core.generation import Event, Generated, Generation, Message, Sampling, Started, Stopped, Text, Usage
from penstock.core.model import ModelSpec
from penstock.core.reply import Meta, Reply
from penstock.core.request import Hints, Request
from penstock.core.tensors import Tensor, Tensors
from penstock.routing.responses.responses import Responses
from penstock.routing.settings import ResponseCacheSettings, RouteSettings

USAGE = Usage(3, 0, 2)


def question(text: str = "Where?", **sampling: Any) -> Generation:
    """A request for the likeliest answer."""
    return Generation(messages=(Message("user", text),), sampling=Sampling(**{"temperature": 0.0, **sampling}))


def rows(*values: float) -> Tensors:
    """Rows of one number."""
    return {"x": Tensor("FP32", np.array(values, np.float32).reshape(-1, 1))}


def asks(payload: Generation | Tensors | None = None, tenant: str | None = "ours", **more: Any) -> Request:
    """A request to the route; hints may be given by name."""
    names = set(Hints.__dataclass_fields__)
    hints = {name: more.pop(name) for name in list(more) if name in names}
    said = question() if payload is None else payload
    return Request(more.pop("id", "1"), "route", said, tenant=tenant, hints=Hints(**hints) if hints else None, **more)


class Served:
    """The served models, as the router's book has them."""

    def __init__(self, *specs: ModelSpec):
        self.specs = {spec.name: spec for spec in specs}

    def find(self, name: str, version: str | None = None) -> Any:
        spec = self.specs.get(name)
        if spec is None or version not in (None, spec.version):
            raise UnknownModel(name)
        return SimpleNamespace(spec=spec, signature=None)


def spec(name: str, **more: Any) -> ModelSpec:
    """A model's description."""
    return ModelSpec(**{"name": name, "runtime": "onnx", "path": "", "sha256": f"digest of {name}", **more})


class Computing:
    """What computes answers. Every call has its own reply in `replies`, which the test moves on."""

    def __init__(self, model: str = "small"):
        self.model = model
        self.replies: list[Reply] = []
        self.requests: list[Request] = []
        self.closed = 0
        self.error: PenstockError | None = None

    def __len__(self) -> int:
        return len(self.replies)

    async def __call__(self, request: Request) -> Reply:
        self.requests.append(request)
        if self.error is not None:
            raise self.error
        reply = Reply(Meta(self.model, "1"), self._closed)
        self.replies.append(reply)
        return reply

    def _closed(self) -> None:
        self.closed += 1

    def say(self, *texts: str, end: bool = True) -> None:
        """The newest reply goes on."""
        tell(self.replies[-1], *texts, end=end)


def tell(reply: Reply, *texts: str, end: bool = True) -> None:
    """A reply goes on: with texts, and perhaps its end."""
    for text in texts:
        reply.emit(Text(0, text, tokens=1))
    if end:
        reply.emit(Stopped(0, "stop"))
        reply.meta.usage, reply.meta.busy_s = USAGE, 0.5
        reply.settle(Generated(USAGE))


class AtOnce(Computing):
    """Answers everything at once: a text, or rows doubled."""

    async def __call__(self, request: Request) -> Reply:
        reply = await super().__call__(request)
        if isinstance(request.payload, Generation):
            reply.emit(Started(3))
            tell(reply, "He", "re", f" {len(self)}")
        else:
            reply.settle({"y": Tensor("FP32", request.payload["x"].array * 2 + len(self))})
        return reply


class Route:
    """The cache of one route."""

    def __init__(self, cache: dict[str, Any] | None = None, computing: Computing | None = None, **more: Any):
        self.clock, self.wall = StillClock(100.0), StillClock(1.7e9)
        self.computing = AtOnce() if computing is None else computing
        self.served = Served(spec("small"), spec("large"))
        kept = ResponseCacheSettings(**(cache or {}))
        parts = {name: more.pop(name) for name in ("shared", "similar") if name in more}
        self.settings = RouteSettings(**{"models": ("small", "large"), "cache": kept, **more})
        self.cache = Responses(
            "route", self.settings, self.served, clock=self.clock, wall=self.wall, **parts  # type: ignore[arg-type]
        )  # fmt: skip

    async def ask(self, request: Request | None = None, **hints: Any) -> Reply:
        return await self.cache.answer(request or asks(**hints), self.computing)

    def advance(self, seconds: float) -> None:
        """Time passes, here and everywhere."""
        self.clock.advance(seconds)
        self.wall.advance(seconds)


def said(reply: Reply) -> str:
    """The whole text of a reply that has ended well."""
    reply.generated()
    return "".join(event.text for event in reply.take() if isinstance(event, Text))


def texts(events: list[Event]) -> str:
    """What the texts among events say."""
    return "".join(event.text for event in events if isinstance(event, Text))


async def turn() -> None:
    """Lets tasks run."""
    for _ in range(5):
        await asyncio.sleep(0)
