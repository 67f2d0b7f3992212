"""A few plain HTTP calls, for readiness, metadata and the check of an answer. The load itself is wrk's."""

from __future__ import annotations

from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import Any

from bench.wrk import Request


@dataclass(frozen=True, slots=True)
class Answer:
    """Status 0 says that nobody answered; the body then says why."""

    status: int
    headers: dict[str, str]
    body: bytes


def call(port: int, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Answer:
    """One call on a connection of its own."""
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        names: dict[str, Any] = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, names, response.read())
    except (OSError, HTTPException) as error:
        return Answer(0, {}, repr(error).encode())
    finally:
        connection.close()


def post(port: int, request: Request) -> Answer:
    """The request that the load repeats, once."""
    return call(port, "POST", request.path, request.body, request.headers)
