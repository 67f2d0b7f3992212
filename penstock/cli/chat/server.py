"""A Penstock server as the commands ask it: plain objects in, plain objects out, streams line by line."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import msgspec
import urllib3

from penstock.core.errors import ConfigError, Internal, PenstockError, Unavailable, by_code

DEFAULT_URL = "http://127.0.0.1:8000"
CONNECT_S = 5.0


def given_url(url: str | None) -> str | None:
    """The URL that a person named, by a flag or by $PENSTOCK_URL; None for neither. Raises `ConfigError`."""
    named = url or os.environ.get("PENSTOCK_URL") or None
    if named is not None and not named.startswith(("http://", "https://")):
        raise ConfigError(f"{named!r} is no URL such as {DEFAULT_URL}")
    return named


class Server:
    """One server at a URL. Its errors are raised as their own classes, `Unavailable` when nothing answers."""

    def __init__(self, url: str):
        self.url = url.rstrip("/")
        self._pool = urllib3.PoolManager(retries=False)

    def answers(self) -> bool:
        """Whether a Penstock server is there."""
        try:
            return "models" in self.get("/models")
        except (PenstockError, TypeError):
            return False

    def get(self, path: str) -> Any:
        """The object at a path."""
        return self._object(self._send("GET", path, None, 30.0))

    def text(self, path: str) -> str:
        """The text at a path."""
        with self._send("GET", path, None, 30.0) as response:
            return response.data.decode(errors="replace")

    def post(self, path: str, body: Any, timeout_s: float | None = 30.0) -> Any:
        """The object that a path answers with. `timeout_s` None: as long as it takes."""
        return self._object(self._send("POST", path, body, timeout_s))

    def models(self) -> list[dict[str, Any]]:
        """What is served: name, version, runtime, state and its reason."""
        found: list[dict[str, Any]] = self.get("/models")["models"]
        return found

    def load(self, name: str) -> None:
        """Loads a model that was unloaded, and waits for it."""
        self.post(f"/v2/repository/models/{quote(name, '')}/load", {}, None)

    def unload(self, name: str) -> None:
        """Unloads a model, after what it has accepted."""
        self.post(f"/v2/repository/models/{quote(name, '')}/unload", {}, None)

    @contextmanager
    def stream(self, path: str, body: Any) -> Iterator[Iterator[dict[str, Any]]]:
        """The objects of a stream, one per line, as they come. Left early, it hangs up, and the server stops."""
        response = self._send("POST", path, body, None)
        try:
            yield _objects(response)
        finally:
            response.close()

    def _send(self, method: str, path: str, body: Any, timeout_s: float | None) -> urllib3.BaseHTTPResponse:
        raw = None if body is None else msgspec.json.encode(body)
        timeout = urllib3.Timeout(connect=CONNECT_S, read=timeout_s)
        try:
            response = self._pool.urlopen(method, self.url + path, body=raw, preload_content=False, timeout=timeout)
        except urllib3.exceptions.HTTPError as error:
            raise Unavailable(f"nothing answers at {self.url}: start it with penstock serve MODEL") from error
        if response.status >= 400:
            raise told(response)
        return response

    def _object(self, response: urllib3.BaseHTTPResponse) -> Any:
        try:
            return msgspec.json.decode(response.data)
        except (msgspec.DecodeError, urllib3.exceptions.HTTPError):
            raise Internal(f"{self.url} does not answer like a Penstock server") from None
        finally:
            response.release_conn()


def told(response: urllib3.BaseHTTPResponse) -> PenstockError:
    """The error that a response tells, as its own class."""
    try:
        said = msgspec.json.decode(response.data)
        error = said["error"] if isinstance(said["error"], dict) else {**said, "message": said["error"]}
        return _error(str(error.get("code", "internal")), str(error["message"]))
    except (msgspec.DecodeError, urllib3.exceptions.HTTPError, KeyError, TypeError):
        return Internal(f"HTTP status {response.status} without a reason; is this a Penstock server?")
    finally:
        response.release_conn()


def _error(code: str, message: str) -> PenstockError:
    kind = by_code(code)
    error = kind.__new__(kind)
    PenstockError.__init__(error, message)
    return error


def _objects(response: urllib3.BaseHTTPResponse) -> Iterator[dict[str, Any]]:
    rest = b""
    try:
        for data in response.stream(65536):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                yield _object(line)
    except urllib3.exceptions.HTTPError as error:
        raise Unavailable("the server hung up in the middle of the answer") from error


def _object(line: bytes) -> dict[str, Any]:
    """One line. Raises the error that it tells."""
    try:
        found = msgspec.json.decode(line, type=dict[str, Any])
    except msgspec.DecodeError:
        raise Internal("the server's answer is no JSON") from None
    if "error" in found:
        raise _error(str(found.get("code", "internal")), str(found["error"]))
    return found
