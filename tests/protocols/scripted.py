"""A language model that plays a script, behind real doors on a real socket."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from penstock.core.errors import PenstockError, UnknownModel
from penstock.core.generation import Event, Generated, Started, Stopped, Text, Usage
from penstock.core.language import GENERATION
from penstock.core.model import ModelSpec, ModelStats, State
from penstock.core.principal import Guard
from penstock.core.reply import Meta, Reply
from penstock.core.request import Request
from penstock.core.signature import Signature
from penstock.protocols.http.app import HttpApp
from penstock.protocols.http.limits import HttpLimits
from penstock.protocols.http.routes import Routes
from penstock.protocols.http.server import HttpServer
from penstock.routing.names import Names
from penstock.routing.settings import RouteSettings

CONTEXT = 256
SIGNATURE = Signature((), (), batched=False, task=GENERATION, max_tokens=CONTEXT, sequences=4)
TEMPLATE = "{% if tools %}<tool_call>{% endif %}{{ messages }}</think>"
OPTIONS = {
    "architecture": "llama",
    "parameters": 2_100_000,
    "weights_bytes": 4_200_000,
    "trained_context": 512,
    "layers": 4,
    "hidden_size": 128,
    "heads": 4,
    "kv_heads": 2,
    "head_size": 32,
    "vocab_size": 1000,
    "quantization": "F16",
    "context": CONTEXT,
    "engine": "openvino",
    "chat_template": TEMPLATE,
    "defaults": {"temperature": 0.7},
    "license": "Apache-2.0",
}
NONE: Mapping[str, str] = {}
Step = Event | Generated | PenstockError | float
HELLO: tuple[Step, ...] = (
    Started(5, 2),
    Text(0, "Hel"),
    Text(0, "lo 🚲"),
    Stopped(0, "stop"),
    Generated(Usage(5, 2, 3)),
)


@dataclass
class View:
    """A served model as the protocols see it."""

    spec: ModelSpec
    signature: Signature | None = SIGNATURE
    state: State = State.READY
    reason: str = ""
    stats: ModelStats = field(default_factory=ModelStats)

    def config(self) -> dict[str, Any]:
        return {"replicas": 1}


class Served:
    """The served models."""

    draining = False

    def __init__(self, views: Sequence[View]):
        self.views = views

    def find(self, name: str, version: str | None = None) -> View:
        for view in self.views:
            if view.spec.name == name:
                return view
        raise UnknownModel(f"no model {name!r}")

    def all(self) -> Sequence[View]:
        return self.views


def llm(name: str = "tiny", **options: Any) -> View:
    """A served language model."""
    spec = ModelSpec(name=name, runtime="llm", path=name, format="gguf", options={**OPTIONS, **options})
    return View(spec)


class Scripted:
    """Plays the same steps for every request; a number is a pause in seconds. Keeps the requests."""

    def __init__(self, steps: Sequence[Step] = HELLO):
        self.steps = steps
        self.requests: list[Request] = []
        self.closed = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def generation(self) -> Any:
        """What the last request asked for."""
        return self.requests[-1].payload

    async def __call__(self, request: Request) -> Reply:
        self.requests.append(request)
        reply = Reply(Meta(request.model, "1"), self._close)
        task = asyncio.get_running_loop().create_task(self._play(reply))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return reply

    def _close(self) -> None:
        self.closed += 1

    async def _play(self, reply: Reply) -> None:
        for step in self.steps:
            if isinstance(step, float):
                await asyncio.sleep(step)
            elif isinstance(step, Generated | PenstockError):
                reply.settle(step)
            else:
                reply.emit(step)
                await asyncio.sleep(0)


class Live:
    """Doors on a port of this machine."""

    def __init__(self, port: int):
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, dict[str, str], bytes]:
        """One request: status, headers (lower case) and the body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            raw = body if isinstance(body, bytes | None) else json.dumps(body).encode()
            connection.request(method, path, raw, headers)
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return response.status, found, response.read()
        finally:
            connection.close()

    def json(self, path: str, body: Any = None) -> Any:
        """The object that a POST (a GET without a body) answers with; its status must be 200."""
        status, _, raw = self.ask("GET" if body is None else "POST", path, body)
        assert status == 200, raw
        return json.loads(raw)

    def refusal(self, path: str, body: Any) -> tuple[int, Any]:
        """The status and the object of a POST that is refused."""
        status, _, raw = self.ask("POST", path, body)
        assert status >= 400, raw
        return status, json.loads(raw)


async def _nobody(request: Request) -> Reply:
    raise AssertionError("models are looked up here, and asked by the doors")


@contextmanager
def live(
    mount: Callable[[Routes, Names], None],
    *views: View,
    guard: Guard | None = None,
    aliases: Mapping[str, str] = NONE,
    routes_to: Mapping[str, str] = NONE,
) -> Iterator[Live]:
    """Serves the doors that `mount` adds, in a thread of this process, until the end."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    routes, limits = Routes(), HttpLimits()
    settings = {name: RouteSettings(models=(model,)) for name, model in routes_to.items()}
    mount(routes, Names(_nobody, Served(views or [llm()]), aliases, settings))
    app = HttpApp(routes, limits, hosts=None, guard=guard)
    server = HttpServer(app, limits, app.refusal, lambda error: None, app.turn_away)

    async def start() -> int:
        await server.start("127.0.0.1", 0)
        return server.port

    async def stop() -> None:
        server.abort()
        await asyncio.sleep(0.05)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    try:
        yield Live(asyncio.run_coroutine_threadsafe(start(), loop).result(10))
    finally:
        asyncio.run_coroutine_threadsafe(stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
