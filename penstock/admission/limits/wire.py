"""The way to Redis: scripts that come together go in one message; a Redis that is away is left alone for a while."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from penstock.core.clock import Clock
from penstock.core.errors import ConfigError, MissingExtra
from penstock.telemetry.logs import logger

log = logger("admission")
TIMEOUT_S = 0.5
PAUSE_S = 5.0
MOST = 256
"""Scripts in one message."""


class Script(NamedTuple):
    """A script on its way. `answer` gets what it returns, None when Redis did not run it, as far as known."""

    text: str
    keys: Sequence[str]
    words: Sequence[Any]
    answer: asyncio.Future[Any]


class Wire:
    """One message at a time, so that they keep their order. `up`: whether it makes sense to ask now."""

    def __init__(self, url: str, clock: Clock):
        self._url = url
        self._clock = clock
        self._client: Any = None
        self._again_at = 0.0
        self._away = False
        self._pending: list[Script] = []
        self._sending: asyncio.Task[None] | None = None

    @property
    def up(self) -> bool:
        """False for a while after it did not answer."""
        return self._client is not None and (not self._away or self._clock() >= self._again_at)

    async def start(self) -> None:
        """Connects; that Redis is absent is only said in the log. Raises `MissingExtra` without the client library,
        `ConfigError` for what is no URL of Redis."""
        try:
            from redis.asyncio import Redis
            from redis.asyncio.retry import Retry
            from redis.backoff import NoBackoff
        except ImportError:
            raise MissingExtra("limits shared through Redis need its client: pip install 'penstock[redis]'") from None
        never = Retry(NoBackoff(), 0)
        try:
            self._client = Redis.from_url(
                self._url, retry=never, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S
            )
        except ValueError:
            raise ConfigError("state.redis must be like redis://host:6379/0 (rediss:// with TLS)") from None
        await self._try(self._client.ping)

    async def stop(self) -> None:
        """Sends what is left to say, then closes the connections."""
        while self._sending is not None and not self._sending.done():
            await asyncio.wait((self._sending,))
        if self._client is not None:
            client, self._client = self._client, None
            await client.aclose()

    def send(self, text: str, keys: Sequence[str], words: Sequence[Any]) -> asyncio.Future[Any]:
        """Sends a script with all others of this turn of the event loop. The future never has an exception."""
        loop = asyncio.get_running_loop()
        script = Script(text, keys, words, loop.create_future())
        self._pending.append(script)
        if self._sending is None or self._sending.done():
            self._sending = loop.create_task(self._drain())
        return script.answer

    async def _drain(self) -> None:
        while self._pending:
            batch, self._pending = self._pending[:MOST], self._pending[MOST:]
            answers = await self._try(lambda batch=batch: self._run(batch)) if self.up else None
            for script, answer in zip(batch, answers or [None] * len(batch), strict=True):
                if not script.answer.done():
                    script.answer.set_result(answer)

    async def _run(self, batch: Sequence[Script]) -> list[Any]:
        """What the scripts return; they are sent by their digest, and whole where Redis does not know them."""
        from redis.exceptions import NoScriptError

        answers = await self._pipe(batch)
        if any(isinstance(answer, NoScriptError) for answer in answers):
            for text in {script.text for script in batch}:
                await self._client.script_load(text)
            unknown = [i for i, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
            for i, answer in zip(unknown, await self._pipe([batch[i] for i in unknown]), strict=True):
                answers[i] = answer
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers

    async def _pipe(self, batch: Sequence[Script]) -> list[Any]:
        pipe = self._client.pipeline(transaction=False)
        for script in batch:
            pipe.evalsha(_digest(script.text), len(script.keys), *script.keys, *script.words)
        answers: list[Any] = await pipe.execute(raise_on_error=False)
        return answers

    async def _try(self, ask: Any) -> Any:
        """What Redis answers; None where it does not, which is said once."""
        from redis.exceptions import RedisError

        try:
            async with asyncio.timeout(2 * TIMEOUT_S):
                answer = await ask()
        except (RedisError, OSError, TimeoutError) as error:
            self._again_at = self._clock() + PAUSE_S
            if not self._away:
                log.error(
                    "redis_away", reason=type(error).__name__, hint="each server keeps to its own limits until then"
                )
            self._away = True
            return None
        if self._away:
            log.info("redis_back")
        self._away = False
        return answer


def _digest(text: str) -> str:
    """The name under which Redis knows a script."""
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
