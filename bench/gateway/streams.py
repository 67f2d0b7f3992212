"""Many streams at once through a gateway: how long each piece was under way."""

from __future__ import annotations

import asyncio
import re
import time

import uvloop

from bench.gateway.provider import PIECES

_STAMP = re.compile(rb"@(\d{9,})")
_READ = 1 << 16


def delays_ms(port: int, streams: int, path: str = "/v1/chat/completions", model: str = "gpt") -> list[float]:
    """Milliseconds of every piece of so many streams, from the provider to here. Raises `ValueError` when pieces are
    missing."""
    return uvloop.run(_all(port, streams, path, model))


async def _all(port: int, streams: int, path: str, model: str) -> list[float]:
    async with asyncio.timeout(120):
        found = await asyncio.gather(*(_one(port, path, model, number) for number in range(streams)))
    return [delay for one in found for delay in one]


async def _one(port: int, path: str, model: str, number: int) -> list[float]:
    await asyncio.sleep(number * 0.005)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = f'{{"model":"{model}","stream":true,"messages":[{{"role":"user","content":"slowly {number}"}}]}}'
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", "Authorization: Bearer none", "Connection: close"]
    lines += ["Content-Type: application/json", f"Content-Length: {len(body)}", "", body]
    writer.write("\r\n".join(lines).encode())
    delays: dict[bytes, float] = {}
    rest = b""
    while b"[DONE]" not in rest:
        data = await reader.read(_READ)
        if not data:
            break
        now, rest = time.monotonic_ns(), rest + data
        cut = rest.rfind(b"\n") + 1
        for stamp in _STAMP.findall(rest[:cut]):
            delays.setdefault(stamp, (now - int(stamp)) / 1e6)
        rest = rest[cut:] if b"[DONE]" not in rest else rest
    writer.close()
    if len(delays) != PIECES:
        raise ValueError(f"a stream brought {len(delays)} pieces of {PIECES}: {rest[:300]!r}")
    return list(delays.values())
