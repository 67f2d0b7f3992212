"""Models without models, for routes: each does as its script says."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from penstock.core.errors import PenstockError, UnknownModel
from penstock.core.generation import Generated, Generation, Started, Stopped, Text, Usage
from penstock.core.model import ModelSpec, ModelStats, State
from penstock.core.reply import Meta, Reply
from penstock.core.request import Request
from penstock.core.signature import Signature

Step = str | float | PenstockError


@dataclass
class Backend:
    """`script`: what happens to one request: a text is said, a number is seconds of silence, an error ends it.
    `refuses`: an error raised before a reply is made. A script's end is a good end."""

    name: str
    script: list[Step] = field(default_factory=lambda: ["hello"])
    refuses: PenstockError | None = None
    state: State = State.READY
    load: float = 0.0
    signature: Signature = field(default_factory=lambda: Signature((), (), batched=False, task="generation"))
    reason: str = ""
    stats: ModelStats = field(default_factory=ModelStats)
    asked: int = 0
    closed: int = 0
    live: int = 0

    @property
    def spec(self) -> ModelSpec:
        return ModelSpec(name=self.name, runtime="llm", path="")

    def config(self) -> dict[str, Any]:
        return {}

    async def __call__(self, request: Request) -> Reply:
        self.asked += 1
        if self.refuses is not None:
            raise self.refuses
        reply = Reply(Meta(self.name, "1"), self._left)
        self.live += 1
        reply.add_end_callback(self._ended)
        task = asyncio.get_running_loop().create_task(self._play(reply))
        reply.add_end_callback(lambda _: task.cancel())
        return reply

    async def _play(self, reply: Reply) -> None:
        reply_started = False
        reply.alive()
        for step in self.script:
            if isinstance(step, float):
                await asyncio.sleep(step)
            elif isinstance(step, PenstockError):
                reply.settle(step)
                return
            else:
                if not reply_started:
                    reply.emit(Started(3))
                    reply_started = True
                reply.emit(Text(0, step, (), 1))
        reply.emit(Stopped(0, "stop"))
        reply.settle(Generated(Usage(3, 0, len(self.script))))

    def _left(self) -> None:
        self.closed += 1

    def _ended(self, _: Reply) -> None:
        self.live -= 1


class Backends:
    """All of them: the next step of the path, and the models as routes see them."""

    def __init__(self, backends: Iterable[Backend]):
        self.by_name = {backend.name: backend for backend in backends}
        self.draining = False

    async def __call__(self, request: Request) -> Reply:
        return await self.find(request.model)(request)

    def find(self, name: str, version: str | None = None) -> Backend:
        if name not in self.by_name:
            raise UnknownModel(f"no model {name!r}")
        return self.by_name[name]

    def all(self) -> list[Backend]:
        return list(self.by_name.values())


def question(text: str = "Hello", **more: Any) -> Request:
    """A request for a route named "route"."""
    return Request("1", "route", Generation(prompt=text), **more)


def counted(results: Iterable[Any], key: Callable[[Any], str]) -> Counter[str]:
    return Counter(key(result) for result in results)
