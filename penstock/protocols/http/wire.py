"""Responses as bytes: status lines, headers, chunks."""

from __future__ import annotations

from http import HTTPStatus

from penstock.protocols.http.message import HttpResponse, NoBody

STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
STATUS_LINES[499] = b"HTTP/1.1 499 Client Closed Request\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"


def head(response: HttpResponse, date: bytes, length: int | None, close: bool) -> bytes:
    """Status line and headers; without a length the body is chunked."""
    size = b"transfer-encoding: chunked" if length is None else b"content-length: %d" % length
    lines = [
        b"%bdate: %b\r\ncontent-type: %b\r\n%b" % (STATUS_LINES[response.status], date, response.content_type, size)
    ]
    if response.headers:
        lines += [b"%b: %b" % header for header in response.headers]
    lines.append(b"connection: close\r\n\r\n" if close else b"\r\n")
    return b"\r\n".join(lines)


def body_length(body: bytes | list[bytes]) -> int | None:
    """The length to declare for a body in one piece or several; None: not known beforehand."""
    if isinstance(body, list):
        return sum(memoryview(part).nbytes for part in body)
    return body.length if isinstance(body, NoBody) else len(body)


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)
