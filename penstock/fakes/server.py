"""A fake provider: a real HTTP server on a real socket, in a thread of its own, whose faults are scripted."""

from __future__ import annotations

import asyncio
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, ClassVar, Self

from penstock.fakes.calls import Answer, Call
from penstock.fakes.connection import Connection
from penstock.fakes.plans import GOOD, Plan

PATIENCE_S = 10.0


class FakeServer(ABC):
    """Answers as one provider would. Use it as a context manager, from any thread or event loop.

    `calls`: what it was asked, the last `remember` calls. `connections`: how many clients have connected so far;
    `left`: calls whose client was gone before the end of the answer. `script` says how the next answers go, `plan` how
    all others do.

    >>> with FakeOpenAI() as provider:              # doctest: +SKIP
    ...     provider.script(throttled(), cut(after=3))
    ...     answer = httpx.post(f"{provider.url}/chat/completions", ...)
    """

    prefix: ClassVar[str] = ""
    """What of the address stands before the paths of its API, such as "/v1"."""
    takes: ClassVar[str] = ""
    """What it has to be asked with, for people; "" where anything will do."""

    def __init__(self, port: int = 0, *, plan: Plan = GOOD):
        self.calls: list[Call] = []
        self.remember = 100_000
        self.connections = 0
        self.left = 0
        self.plan = plan
        self.port = port
        self._script: deque[Plan] = deque()
        self._open: set[Connection] = set()
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True, name="penstock-fake")

    @abstractmethod
    def answer(self, call: Call) -> Answer:
        """What the provider says to a call that it likes."""

    @abstractmethod
    def error(self, status: int, words: str) -> Answer:
        """What the provider says to one that it does not."""

    # --- its life

    @property
    def url(self) -> str:
        """Where its API is."""
        return f"http://127.0.0.1:{self.port}{self.prefix}"

    def __enter__(self) -> Self:
        self._thread.start()
        self.up()
        return self

    def __exit__(self, *_: object) -> None:
        self.down()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_S)
        self._loop.close()

    def up(self) -> None:
        """Listens, at the same port as before."""
        self._run(self._listen)

    def down(self) -> None:
        """Listens no more, and breaks all connections."""
        self._run(self._leave)

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await self._loop.create_server(lambda: Connection(self), "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def _leave(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for connection in list(self._open):
            if connection.transport is not None:
                connection.transport.abort()
        await asyncio.sleep(0.01)

    def _run(self, what: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Does something in the server's own loop, and waits for it."""
        asyncio.run_coroutine_threadsafe(what(), self._loop).result(PATIENCE_S)

    # --- what it does

    def script(self, *plans: Plan) -> None:
        """How the next answers go, one after the other."""
        self._script.extend(plans)

    def wait_for(self, condition: Callable[[], bool], patience_s: float = PATIENCE_S) -> bool:
        """Waits until something holds, such as `lambda: fake.left == 1`; False when it does not in time."""
        until = time.monotonic() + patience_s
        while not condition():
            if time.monotonic() > until:
                return False
            time.sleep(0.005)
        return True

    def heard(self, call: Call) -> tuple[Answer, Plan]:
        """Called by connections."""
        self.calls.append(call)
        if len(self.calls) > 2 * self.remember:
            del self.calls[: -self.remember]
        plan = self._script.popleft() if self._script else self.plan
        if plan.body is not None:
            return Answer([plan.body], plan.content_type, plan.status, plan.headers), plan
        if plan.status != 200:
            refused = self.error(plan.status, plan.words)
            return replace(refused, status=plan.status, headers={**refused.headers, **plan.headers}), plan
        return self.answer(call), plan

    def opened(self, connection: Connection) -> None:
        """Called by connections."""
        self.connections += 1
        self._open.add(connection)

    def closed(self, connection: Connection) -> None:
        """Called by connections."""
        self._open.discard(connection)
