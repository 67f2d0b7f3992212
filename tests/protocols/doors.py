"""The protocols without workers: real doors and routes over a handler that answers at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from penstock.core.clock import StillClock
from penstock.core.errors import UnknownModel
from penstock.core.model import ModelSpec, ModelStats, State
from penstock.core.principal import Guard
from penstock.core.reply import Meta, Reply
from penstock.core.request import Handler, Request
from penstock.core.signature import Fit, Signature, TensorSpec
from penstock.core.tensors import Tensor
from penstock.protocols.anthropic.door import Anthropic
from penstock.protocols.aside import HEAVY
from penstock.protocols.docs.pages import Docs
from penstock.protocols.feedback import FeedbackDoor
from penstock.protocols.http.app import HttpApp
from penstock.protocols.http.drive import Drive
from penstock.protocols.http.limits import HttpLimits
from penstock.protocols.http.message import HttpRequest, HttpResponse
from penstock.protocols.http.routes import Routes
from penstock.protocols.oip.repository import OipRepository
from penstock.protocols.oip.rest import OipRest
from penstock.protocols.ollama.door import OllamaText
from penstock.protocols.ollama.embedding import OllamaEmbedding
from penstock.protocols.ollama.models import OllamaModels
from penstock.protocols.openai.door import OpenAI
from penstock.protocols.operations import Operations
from penstock.protocols.predict import Predict
from penstock.protocols.rerank import Rerank
from penstock.routing.names import Names
from penstock.routing.settings import RouteSettings

NONE: Mapping[str, str] = {}
IRIS = Signature((TensorSpec("X", "FP32", (-1, 4)),), (TensorSpec("label", "INT64", (-1,)),))


def routed(routes: Mapping[str, str]) -> dict[str, RouteSettings]:
    """Settings of routes to one model each."""
    return {name: RouteSettings(models=(model,)) for name, model in routes.items()}


@dataclass
class View:
    """A served model as the protocols see it."""

    spec: ModelSpec
    signature: Signature | None = IRIS
    state: State = State.READY
    reason: str = ""
    stats: ModelStats = field(default_factory=ModelStats)

    def config(self) -> dict[str, Any]:
        return {"batching": {"max_size": 32}, "replicas": 1}


@dataclass
class Served:
    """The served models."""

    views: list[View]
    draining: bool = False

    def find(self, name: str, version: str | None = None) -> View:
        for view in self.views:
            if view.spec.name == name and version in (None, view.spec.version):
                return view
        raise UnknownModel(f"no model {name!r}")

    def all(self) -> list[View]:
        return self.views


def view(name: str = "iris", signature: Signature | None = IRIS, **rest: Any) -> View:
    """A served model by its name and signature."""
    return View(ModelSpec(name=name, runtime="fake", path=name, **rest), signature)


class Echo:
    """A model that answers with `answer(tensors)`; keeps the requests it got."""

    def __init__(self, models: Served, answer: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]):
        self.models = models
        self.answer = answer
        self.requests: list[Request] = []

    async def __call__(self, request: Request) -> Reply:
        self.requests.append(request)
        signature = self.models.find(request.model, request.version).signature
        assert signature is not None
        Fit.of(signature).rows(request.payload)
        reply = Reply(Meta(request.model, "1"))
        reply.settle(self.answer(request.payload))
        return reply


class Calls:
    """Notes what is to be loaded and unloaded."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def load(self, name: str) -> None:
        self.asked.append(f"load {name}")

    async def unload(self, name: str) -> None:
        self.asked.append(f"unload {name}")


class Doors:
    """The whole of the protocols over an echo."""

    def __init__(
        self,
        *views: View,
        answer: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]] = lambda tensors: tensors,
        limits: HttpLimits = HttpLimits(),  # noqa: B008
        hosts: list[str] | None = None,
        handler: Handler | None = None,
        guard: Guard | None = None,
        aliases: Mapping[str, str] = NONE,
        routes: Mapping[str, str] = NONE,
    ):
        self.lifecycle = Calls()
        self.models = Served(list(views) or [view()])
        self.echo = Echo(self.models, answer)
        names = Names(handler or self.echo, self.models, aliases, routed(routes))
        self.routes, clock = Routes(), StillClock()
        self._mount(self.routes, names, names, clock)
        self.http = HttpApp(self.routes, limits, hosts=hosts, guard=guard)

    def _mount(self, routes: Routes, handler: Handler, names: Names, clock: StillClock) -> None:
        Predict(handler, names, clock).mount(routes)
        OipRest(handler, names, clock, "9.9").mount(routes)
        OipRepository(names, self.lifecycle).mount(routes)
        OpenAI(handler, names, clock).mount(routes)
        Anthropic(handler, names, clock).mount(routes)
        OllamaText(handler, names, clock, self.lifecycle).mount(routes)
        OllamaEmbedding(handler, names, clock, self.lifecycle).mount(routes)
        OllamaModels(handler, names, "9.9").mount(routes)
        Rerank(handler, names, clock).mount(routes)
        Operations(names, lambda: b"metrics", "9.9").mount(routes)
        FeedbackDoor(None).mount(routes)
        Docs(names, "9.9").mount(routes)

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> HttpResponse:
        """The response; header names are given with underscores."""
        given = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
        raw, _, query = path.partition("?")
        request = HttpRequest(method, raw.encode(), query.encode(), given, body)
        return asyncio.run(self._exchange(request))

    async def _exchange(self, request: HttpRequest) -> HttpResponse:
        answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        Drive(self.http(request), answered.set_result)
        at_once = answered.done()
        answer = await asyncio.wait_for(answered, 60)
        assert isinstance(answer, HttpResponse), answer
        large = len(request.body) > HEAVY or len(body(answer)) > HEAVY // 4
        loads = b"/repository/models/" in request.path
        reads_disk = request.path.startswith(b"/api/")
        assert at_once or large or loads or reads_disk, "a door without I/O must answer at once"
        return answer


def body(response: HttpResponse) -> bytes:
    """A response's body in one piece."""
    return response.body if isinstance(response.body, bytes) else b"".join(response.body)


def header(response: HttpResponse, name: str) -> str | None:
    """The first header of that name."""
    return next((value.decode() for key, value in response.headers or [] if key == name.encode()), None)
