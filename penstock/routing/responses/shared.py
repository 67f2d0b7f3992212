"""Answers in Redis or Valkey, which several servers share. It helps where it can, and never fails a request: what is
slow or away is a miss."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from penstock.core.clock import Clock, system_clock
from penstock.core.errors import ConfigError, MissingExtra
from penstock.routing.failure.breaker import Breaker, BreakerSettings
from penstock.telemetry.logs import logger

if TYPE_CHECKING:
    from redis.asyncio import Redis

PREFIX = b"penstock:answer:1:"
PATIENCE_S = 0.05
"""For how long a request waits for Redis, once it has a connection or makes one."""
PENDING = 64
"""Calls at once; with more under way, a request goes on without."""
LARGEST = 8 * 2**20
"""Bytes of an answer that is shared; larger ones stay in their process."""
AWAY = BreakerSettings(failures=3, eject_s=1.0, max_eject_s=30.0, probe_s=1.0)
log = logger("routing")


class Shared:
    """`url`: "redis://host:port/0", or rediss:// or unix://. Lives on one event loop; connects when first needed.

    Raises `ConfigError` for a wrong address, `MissingExtra` without the library.
    """

    def __init__(self, url: str, clock: Clock = system_clock, patience_s: float = PATIENCE_S):
        self._client = _client(url, patience_s)
        self._clock = clock
        self._patience_s = patience_s
        self._breaker = Breaker(AWAY)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._away = False

    async def find(self, key: bytes) -> bytes | None:
        """The bytes kept under a key. Waits a moment at most; without a task of its own."""
        task = self._begin(partial(self._client.get, _name(key)))
        if task is None:
            return None
        done, _ = await asyncio.wait((task,), timeout=self._patience_s)
        # Left alone where it is late: a connection that was given up midway might hand its answer to the next caller.
        found = task.result() if done else None
        return found if isinstance(found, bytes) else None

    def keep(self, key: bytes, data: bytes, seconds: float) -> None:
        """Keeps bytes for so long; does not wait."""
        if len(data) <= LARGEST:
            self._begin(partial(self._client.set, _name(key), data, px=max(1, int(seconds * 1000))))

    async def settled(self) -> None:
        """Waits for what is under way."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=4 * self._patience_s)

    async def stop(self) -> None:
        """Lets what is under way finish, and closes the connections."""
        await self.settled()
        await self._client.aclose()

    @property
    def away(self) -> bool:
        """Whether it does not answer at present."""
        return self._away

    def _begin(self, call: Callable[[], Any]) -> asyncio.Task[Any] | None:
        now = self._clock()
        skip = self._breaker.ejected(now) and not self._breaker.may_probe(now)
        if skip or len(self._tasks) >= PENDING:
            return None
        self._breaker.asked(now)
        task = asyncio.get_running_loop().create_task(self._watched(call))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _watched(self, call: Callable[[], Any]) -> Any:
        """What a call gives; None when it fails, whatever way."""
        try:
            async with asyncio.timeout(4 * self._patience_s):
                found = await call()
        except Exception as error:
            self._failed(error)
            return None
        self._breaker.succeeded()
        if self._away:
            self._away = False
            log.info("shared_answers_back")
        return found

    def _failed(self, error: Exception) -> None:
        now = self._clock()
        self._breaker.failed(now)
        if not self._away and self._breaker.ejected(now):
            self._away = True
            log.warning("shared_answers_away", error=type(error).__name__, meanwhile="each server keeps its own")


def _name(key: bytes) -> bytes:
    return PREFIX + key.hex().encode()


def _client(url: str, patience_s: float) -> Redis:
    try:
        from redis.asyncio import Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
    except ImportError:
        raise MissingExtra("answers shared through Redis need its client: pip install 'penstock[redis]'") from None
    try:
        return Redis.from_url(
            url,
            socket_timeout=2 * patience_s,
            socket_connect_timeout=2 * patience_s,
            retry=Retry(NoBackoff(), 0),
            max_connections=PENDING,
            protocol=2,
        )
    except ValueError:
        # Without its words: they may hold the password.
        raise ConfigError("state.redis takes an address such as redis://localhost:6379/0") from None
