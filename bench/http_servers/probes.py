"""How a server treats clients that are slow, wrong, or gone. Each probe talks raw TCP and says in words what it saw."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import time
from collections.abc import Iterator

from bench.http import call

PATIENCE_S = 35.0
_NOTICE_S = 5.0
_CHUNKS = 70_000


def slow_headers(port: int) -> str:
    """A header that grows by one byte a second."""
    return _drip(port, b"GET /readyz HTTP/1.1\r\nHost: a\r\nX-Slow: ")


def slow_body(port: int) -> str:
    """A body that grows by one byte a second."""
    return _drip(port, b"POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")


def header_70_kb(port: int) -> str:
    """One header of 70,000 bytes."""
    return _exchange(port, b"GET /readyz HTTP/1.1\r\nHost: a\r\nX-Long: " + b"a" * 70_000 + b"\r\n\r\n")


def header_1_mb(port: int) -> str:
    """One header of a million bytes."""
    return _exchange(port, b"GET /readyz HTTP/1.1\r\nHost: a\r\nX-Long: " + b"a" * 1_000_000 + b"\r\n\r\n")


def two_lengths(port: int) -> str:
    """Two Content-Length that disagree."""
    return _exchange(port, b"POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!")


def length_and_chunked(port: int) -> str:
    """Content-Length beside Transfer-Encoding."""
    head = b"POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
    return _exchange(port, head + b"0\r\n\r\n")


def tiny_chunks(port: int) -> str:
    """70,000 chunks of one byte."""
    head = b"POST /count HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    return _exchange(port, head + b"1\r\nx\r\n" * _CHUNKS + b"0\r\n\r\n", show_body=True)


def gone_while_waiting(port: int) -> str:
    """The client hangs up before its answer."""
    return _hang_up(port, "wait")


def gone_mid_stream(port: int) -> str:
    """The client hangs up in the middle of a streamed answer."""
    return _hang_up(port, "stream")


def _hang_up(port: int, where: str) -> str:
    with _connect(port) as client:
        client.sendall(f"GET /{where} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        time.sleep(0.4)
    left = time.time()
    for _ in _ticks(_NOTICE_S, 0.05):
        seen = json.loads(call(port, "GET", "/seen").body or b"{}").get(where)
        if seen is not None:
            return f"noticed after {max(0.0, seen - left) * 1000:.0f} ms"
    return f"not noticed within {_NOTICE_S:g} s"


def _drip(port: int, head: bytes) -> str:
    started = time.monotonic()
    with _connect(port) as client:
        client.sendall(head)
        for _ in _ticks(PATIENCE_S, 1.0):
            ended = _ended(client)
            if ended is not None:
                return f"{ended} after {time.monotonic() - started:.0f} s"
            try:
                client.sendall(b"a")
            except OSError:
                return f"closed after {time.monotonic() - started:.0f} s"
    return f"still open after {PATIENCE_S:g} s"


def _ended(client: socket.socket) -> str | None:
    """What the server said to end the exchange; None while it waits."""
    if not select.select([client], [], [], 0)[0]:
        return None
    try:
        said = client.recv(65536)
    except OSError:
        said = b""
    return _status(said)


def _exchange(port: int, message: bytes, *, show_body: bool = False) -> str:
    with _connect(port) as client:
        with contextlib.suppress(OSError):
            client.sendall(message)
        said = _read(client, to_the_end=show_body)
    status = _status(said)
    return f"{status}, {_pieces(said)}" if show_body and status == "200" else status


def _pieces(said: bytes) -> str:
    body = said[said.find(b"{") : said.rfind(b"}") + 1]
    return f"seen by the app as {json.loads(body)['pieces']:,} pieces" if body else "no body"


def _read(client: socket.socket, *, to_the_end: bool) -> bytes:
    said = b""
    for _ in range(100):
        try:
            part = client.recv(65536)
        except OSError:
            break
        said += part
        if not part or (b"\r\n\r\n" in said and not to_the_end):
            break
    return said


def _status(said: bytes) -> str:
    return said.split(b" ", 2)[1].decode() if said.startswith(b"HTTP/") else "closed without an answer"


def _connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def _ticks(total_s: float, every_s: float) -> Iterator[int]:
    for number in range(round(total_s / every_s)):
        yield number
        time.sleep(every_s)
