"""The same app behind any ASGI 3 server, or mounted in someone's FastAPI.

Header sizes and slow clients are the server's to bound here; bodies are bounded by `limits`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import quote

from penstock.core.errors import PenstockError, TooLarge
from penstock.protocols.http import wire
from penstock.protocols.http.app import HttpApp
from penstock.protocols.http.drive import Drive
from penstock.protocols.http.limits import HttpLimits
from penstock.protocols.http.message import HttpRequest, HttpResponse
from penstock.protocols.http.receiver import LARGE

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Step = Callable[[], Awaitable[object]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]


def asgi(http: HttpApp, limits: HttpLimits, on_startup: Step, on_shutdown: Step) -> AsgiApp:
    """An ASGI callable; the server's lifespan runs `on_startup` and `on_shutdown`.

    A mounted app gets no lifespan of its own, and a request starts nothing: the outer app's lifespan
    has to run both, or every model stays "loading" (503). In FastAPI:

        @asynccontextmanager
        async def lifespan(_):
            await penstock_app.start_models()
            yield
            await penstock_app.stop_models()

        outer = FastAPI(lifespan=lifespan)
        outer.mount("/models", penstock_app.asgi())
    """

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await _exchange(http, limits, scope, receive, send)
        elif scope["type"] == "lifespan":
            await _lifespan(on_startup, on_shutdown, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
        else:
            raise ValueError(f"ASGI scope {scope['type']!r} is not spoken here")

    return app


async def _lifespan(on_startup: Step, on_shutdown: Step, receive: Receive, send: Send) -> None:
    while True:
        phase = str((await receive())["type"]).removeprefix("lifespan.")
        try:
            await (on_startup if phase == "startup" else on_shutdown)()
        except Exception as error:
            await send({"type": f"lifespan.{phase}.failed", "message": str(error)})
            return
        await send({"type": f"lifespan.{phase}.complete"})
        if phase == "shutdown":
            return


async def _exchange(http: HttpApp, limits: HttpLimits, scope: Scope, receive: Receive, send: Send) -> None:
    headers = joined(scope["headers"])
    request = HttpRequest(scope["method"], path_below(scope), scope.get("query_string", b""), headers, b"")
    try:
        if _is_large(headers) and (unwanted := http.turn_away(request)) is not None:
            raise unwanted
        body = await _body(headers, limits.body, receive)
    except PenstockError as error:
        await _send(http.refusal(error, request.path), send)
        return
    if body is None:
        return
    request.body = body
    gone = asyncio.ensure_future(_gone(receive))
    try:
        response = await _answer(http, request, gone)
        if response is not None:
            await (_send(response, send) if response.stream is None else _stream(response, send, gone))
    finally:
        gone.cancel()


def joined(pairs: Any) -> dict[bytes, bytes]:
    """Headers by lower-case name, repeated ones joined by a comma."""
    headers: dict[bytes, bytes] = {}
    for name, value in pairs:
        name = bytes(name).lower()
        headers[name] = headers[name] + b", " + value if name in headers else bytes(value)
    return headers


def path_below(scope: Scope) -> bytes:
    """The raw path without the query, and without the prefix that the app is mounted under."""
    raw: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    raw = raw.partition(b"?")[0]
    prefix = quote(scope.get("root_path", "").rstrip("/")).encode()
    if prefix and raw.startswith(prefix) and raw[len(prefix) : len(prefix) + 1] in (b"", b"/"):
        raw = raw[len(prefix) :]
    return raw or b"/"


def _is_large(headers: dict[bytes, bytes]) -> bool:
    """Whether the body is long, or nobody knows how long."""
    declared = headers.get(b"content-length", b"")
    return b"transfer-encoding" in headers or (declared.isdigit() and int(declared) >= LARGE)


async def _body(headers: dict[bytes, bytes], limit: int, receive: Receive) -> bytes | None:
    """The whole body; None when the client left before its end. Raises `TooLarge`."""
    declared = headers.get(b"content-length", b"0")
    size, parts = int(declared) if declared.isdigit() else 0, []
    received, more = 0, True
    while more and size <= limit and received <= limit:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        received += len(parts[-1])
        more = message.get("more_body", False)
    if max(size, received) > limit:
        raise TooLarge(f"the body is over {limit} bytes; send less, or raise http.limits.body")
    return b"".join(parts)


async def _gone(receive: Receive) -> None:
    """Returns when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _answer(http: HttpApp, request: HttpRequest, gone: asyncio.Future[None]) -> HttpResponse | None:
    """The response; None, and nothing left behind, when the client leaves first."""
    answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    drive = Drive(http(request), answered.set_result)
    try:
        await asyncio.wait((answered, gone), return_when=asyncio.FIRST_COMPLETED)
    finally:
        if not answered.done():
            drive.close()
            answered.cancel()
    if answered.cancelled():
        return None
    outcome = answered.result()
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome  # type: ignore[no-any-return]


def _start(response: HttpResponse, length: int | None) -> Message:
    headers = [(b"content-type", response.content_type), *(response.headers or [])]
    if length is not None:
        headers.append((b"content-length", b"%d" % length))
    return {"type": "http.response.start", "status": response.status, "headers": headers}


async def _send(response: HttpResponse, send: Send) -> None:
    body = response.body if isinstance(response.body, bytes) else b"".join(response.body)
    await send(_start(response, wire.body_length(body)))
    await send({"type": "http.response.body", "body": body})


async def _stream(response: HttpResponse, send: Send, gone: asyncio.Future[None]) -> None:
    """Sends chunks no faster than the server takes them; closes the source when the client leaves."""
    assert response.stream is not None
    sending = asyncio.ensure_future(_chunks(response, response.stream, send))
    try:
        await asyncio.wait((sending, gone), return_when=asyncio.FIRST_COMPLETED)
    finally:
        if not sending.done():
            sending.cancel()
            await asyncio.wait((sending,))
    if not sending.cancelled():
        sending.result()


async def _chunks(response: HttpResponse, source: AsyncIterator[bytes], send: Send) -> None:
    try:
        await send(_start(response, None))
        async for data in source:
            if data:
                await send({"type": "http.response.body", "body": data, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    finally:
        if aclose := getattr(source, "aclose", None):
            await aclose()
