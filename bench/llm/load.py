"""Clients of a language model's server: raw sockets, so that they cost little; times as each client sees them."""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

PROMPT = 128
ANSWER = 64
VOCABULARY = (300, 30_000)
LIMIT = 1 << 22


@dataclass(slots=True)
class Heard:
    """One answer: seconds to its first and its last piece from sending, and its tokens."""

    first_s: float
    last_s: float
    tokens: int

    @property
    def decode_rate(self) -> float:
        """Tokens per second after the first."""
        return (self.tokens - 1) / max(1e-9, self.last_s - self.first_s)


@dataclass(slots=True)
class Load:
    """What so many clients got in so many seconds, from the first request to the last answer."""

    clients: int
    seconds: float
    heard: list[Heard] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Generated tokens per second, all clients together."""
        return sum(heard.tokens for heard in self.heard) / self.seconds

    def first_ms(self, share: float) -> float:
        """Milliseconds to the first token that this share of answers stays under."""
        ordered = sorted(heard.first_s for heard in self.heard)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    @property
    def decode_rate(self) -> float:
        """Tokens per second of one answer after its first token, median."""
        return statistics.median(heard.decode_rate for heard in self.heard)


@dataclass(frozen=True, slots=True)
class Door:
    """How a server is asked: a path, a body for token ids, and how many tokens a streamed line says there were."""

    port: int
    path: str
    body: Callable[[Sequence[int], int], dict[str, Any]]
    tokens: Callable[[dict[str, Any]], int | None]


def prompts(seed: int, length: int = PROMPT) -> Callable[[], list[int]]:
    """Random token ids, different every time, the same for the same seed."""
    rng = random.Random(seed)
    return lambda: [rng.randrange(*VOCABULARY) for _ in range(length)]


async def ask(door: Door, prompt: Sequence[int], answer: int = ANSWER) -> Heard:
    """One request on a connection of its own, read to its end. Raises `RuntimeError` for anything but 200."""
    body = json.dumps(door.body(prompt, answer)).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port, limit=LIMIT)
    head = f"POST {door.path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n"
    started = time.perf_counter()
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    try:
        return await _read(reader, door, started)
    finally:
        writer.close()


async def _read(reader: asyncio.StreamReader, door: Door, started: float) -> Heard:
    status = await reader.readline()
    if b" 200" not in status:
        raise RuntimeError(f"{status!r} {(await reader.read(2000))!r}")
    first = last = 0.0
    tokens = 0
    while line := await reader.readline():
        if not line.startswith(b"data: {"):
            continue
        now = time.perf_counter() - started
        first, last = first or now, now
        tokens = door.tokens(json.loads(line[6:])) or tokens
    if not tokens:
        raise RuntimeError("the stream ended without saying how many tokens there were")
    return Heard(first, last, tokens)


async def press(door: Door, clients: int, rounds: int, make: Callable[[], list[int]]) -> Load:
    """So many clients at once, each asking so many times, one after the other."""

    async def client() -> list[Heard]:
        return [await ask(door, make()) for _ in range(rounds)]

    started = time.perf_counter()
    heard = await asyncio.gather(*(client() for _ in range(clients)))
    return Load(clients, time.perf_counter() - started, [one for many in heard for one in many])
