"""An HTTP request and response as the doors see them, whichever server carries them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from penstock.core.principal import ANYBODY

Headers = list[tuple[bytes, bytes]]
JSON = b"application/json"
OCTETS = b"application/octet-stream"


class HttpRequest:
    """One request, its body read whole (bounded by the server's limits).

    `path` is raw: percent-encoded, without the query. Header names are lower case; repeated
    headers are joined by a comma. `id` is the client's X-Request-Id, or one of ours. `principal`: who asks.
    """

    __slots__ = ("body", "headers", "id", "method", "path", "principal", "query")

    def __init__(self, method: str, path: bytes, query: bytes, headers: dict[bytes, bytes], body: bytes | bytearray):
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.body = body
        self.id = ""
        self.principal = ANYBODY


class NoBody(bytes):
    """The body of a HEAD response: nothing; `length` is that of GET's (None: a stream's)."""

    length: int | None = None


class HttpResponse:
    """One response: a whole body, or a stream of chunks (`body` is then empty).

    `dense`: mostly numbers or base64, which take longer to compress than they did to write.
    """

    __slots__ = ("body", "content_type", "dense", "headers", "status", "stream")

    def __init__(
        self,
        status: int,
        body: bytes | list[Any] = b"",
        content_type: bytes = JSON,
        headers: Headers | None = None,
        stream: AsyncIterator[bytes] | None = None,
        dense: bool = False,
    ):
        self.status = status
        self.body = body
        self.content_type = content_type
        self.headers = headers
        self.stream = stream
        self.dense = dense


Door = Callable[..., Awaitable[HttpResponse]]
"""A door takes the request and the path's parameters, and gives a response or raises `PenstockError`."""

App = Callable[[HttpRequest], Awaitable[HttpResponse]]
"""The whole of the protocols: never raises."""
