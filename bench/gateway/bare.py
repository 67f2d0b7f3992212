"""A bare gateway in Python: reads JSON, asks the provider with aiohttp's client, answers JSON; nothing else.

`python -m bench.gateway.bare PORT PROVIDER_URL`. What is left between it and Penstock is what Penstock does.
"""

from __future__ import annotations

import sys

import aiohttp
import orjson
import uvloop
from aiohttp import web


def app(url: str) -> web.Application:
    """The application."""
    made = web.Application()

    async def session(_: web.Application) -> object:  # type: ignore[misc]
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as made["session"]:
            yield

    async def chat(request: web.Request) -> web.Response:
        asked = orjson.loads(await request.read())
        async with made["session"].post(f"{url}/chat/completions", data=orjson.dumps(asked)) as answer:
            found = orjson.loads(await answer.read())
        return web.Response(body=orjson.dumps(found), content_type="application/json")

    made.cleanup_ctx.append(session)  # type: ignore[arg-type]
    made.router.add_post("/v1/chat/completions", chat)
    return made


if __name__ == "__main__":
    uvloop.install()
    web.run_app(app(sys.argv[2]), host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)
