"""Asks a server a day's questions through one of its routes, and tells it how good each answer was."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import aiohttp

from bench.router.providers import RIGHT
from bench.router.traffic import Asked

CLIENTS = 32
ANSWER = 200
"""Tokens that an answer may take."""


async def replay(url: str, route: str, day: Sequence[Asked]) -> None:
    """Asks everything, in order, so many at a time. Raises `RuntimeError` for an answer that is none."""
    queue = iter(enumerate(day))
    connector = aiohttp.TCPConnector(limit=CLIENTS)
    async with aiohttp.ClientSession(connector=connector) as client:

        async def ask_on() -> None:
            for number, asked in queue:
                await _ask(client, url, route, f"{route}-{number}", asked)

        await asyncio.gather(*(ask_on() for _ in range(CLIENTS)))


async def _ask(client: aiohttp.ClientSession, url: str, route: str, id: str, asked: Asked) -> None:
    headers = {"X-Request-Id": id, "X-Penstock-Session": f"{route}-{asked.session}"}
    async with client.post(f"{url}/v1/chat/completions", json=body(route, asked), headers=headers) as answer:
        said = await answer.json()
        if answer.status != 200:
            raise RuntimeError(f"{route} answers {answer.status}: {said}")
    right = said["choices"][0]["message"]["content"].startswith(RIGHT)
    async with client.post(f"{url}/v1/feedback", json={"request": id, "score": float(right)}) as answer:
        answer.raise_for_status()


def body(route: str, asked: Asked) -> dict[str, Any]:
    """The request as OpenAI's clients write it."""
    messages = []
    for earlier in asked.earlier:
        messages += [{"role": "user", "content": earlier}, {"role": "assistant", "content": "I see."}]
    messages.append({"role": "user", "content": asked.question.text})
    return {"model": route, "messages": messages, "max_tokens": ANSWER, "temperature": 0}
