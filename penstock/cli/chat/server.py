"""A Penstock server as the commands ask it: plain objects in, plain objects out, streams line by line."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import msgspec
import urllib3

from penstock.core.access import KEY_VARIABLE, SERVER_VARIABLE, authorization, key_for
from penstock.core.errors import (
    ConfigError,
    DeadlineExceeded,
    Internal,
    PenstockError,
    Unauthenticated,
    Unavailable,
    by_code,
)

DEFAULT_URL = "http://127.0.0.1:8000"
_URL = re.compile(r"https?://[^/?#\s]+(/\S*)?")
CONNECT_S = 5.0
OUR_KEY = f"commands take it from ${KEY_VARIABLE}"
ANSWER_S = 10.0
"""For what a server answers at once, however busy its models are."""


def given_url(url: str | None) -> str | None:
    """The URL that a person named, by a flag or by $PENSTOCK_URL; None for neither. Raises `ConfigError`."""
    named = url or os.environ.get(SERVER_VARIABLE) or None
    if named is not None and not _URL.fullmatch(named):
        raise ConfigError(f"{named!r} is no URL such as {DEFAULT_URL}")
    return named


class Absent(Unavailable):
    """Nothing takes connections at the URL."""


class Stranger(Internal):
    """What answers at the URL is no Penstock server."""


class Server:
    """One server at a URL.

    Its errors are raised as their own classes; `Absent` when nothing is there, `Stranger` when it is something else,
    `DeadlineExceeded` when it is there and says nothing.
    """

    def __init__(self, url: str):
        self.url = url.rstrip("/")
        self._headers = authorization(key_for(self.url))
        self._pool = urllib3.PoolManager(retries=False)

    def get(self, path: str) -> Any:
        """The object at a path."""
        return self._object(self._send("GET", path))

    def text(self, path: str) -> str:
        """The text at a path."""
        return self._data(self._send("GET", path)).decode(errors="replace")

    def post(self, path: str, body: Any, *, patient: bool = False) -> Any:
        """The object that a path answers with. `patient`: it may take as long as it takes."""
        return self._object(self._send("POST", path, body, patient=patient))

    def models(self) -> list[dict[str, Any]]:
        """What is served: name, version, runtime, state and its reason."""
        return self.listed()[0]

    def listed(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """What is served, and the routes and aliases that lead there."""
        said = self.get("/models")
        if not isinstance(said, dict) or not isinstance(said.get("models"), list):
            raise self._stranger()
        return said["models"], said.get("names", [])

    def load(self, name: str) -> None:
        """Loads a model that was unloaded, and waits for it."""
        self.post(f"/v2/repository/models/{quote(name, '')}/load", {}, patient=True)

    def unload(self, name: str) -> None:
        """Unloads a model, after what it has accepted."""
        self.post(f"/v2/repository/models/{quote(name, '')}/unload", {}, patient=True)

    @contextmanager
    def stream(self, path: str, body: Any) -> Iterator[Iterator[dict[str, Any]]]:
        """The objects of a stream, one per line, as they come. Left early, it hangs up, and the server stops."""
        response = self._send("POST", path, body, patient=True)
        try:
            yield _objects(response)
        finally:
            response.close()

    def _send(self, method: str, path: str, body: Any = None, *, patient: bool = False) -> urllib3.BaseHTTPResponse:
        raw = None if body is None else _encoded(body)
        timeout = urllib3.Timeout(connect=CONNECT_S, read=None if patient else ANSWER_S)
        try:
            response = self._pool.urlopen(
                method, self.url + path, body=raw, headers=self._headers, preload_content=False, timeout=timeout
            )
        except urllib3.exceptions.HTTPError as error:
            raise self._failed(error) from error
        if response.status >= 400:
            raise self._told(response)
        return response

    def _failed(self, error: urllib3.exceptions.HTTPError) -> PenstockError:
        """Why there is no answer. A connection that is not taken in time is one that waits in a queue."""
        if isinstance(error, urllib3.exceptions.NewConnectionError):
            return Absent(f"nothing answers at {self.url}: start it with penstock serve MODEL")
        if isinstance(error, urllib3.exceptions.TimeoutError):
            return DeadlineExceeded(f"{self.url} is there, but does not answer in time: it is busy, or it hangs")
        if isinstance(error, urllib3.exceptions.ProtocolError):
            return Stranger(f"{self.url} hung up without an answer: it is no Penstock server, or one that is ending")
        return self._stranger()

    def _data(self, response: urllib3.BaseHTTPResponse) -> bytes:
        try:
            return response.data
        except urllib3.exceptions.HTTPError as error:
            raise self._failed(error) from error
        finally:
            response.release_conn()

    def _object(self, response: urllib3.BaseHTTPResponse) -> Any:
        try:
            return msgspec.json.decode(self._data(response))
        except msgspec.DecodeError:
            raise self._stranger() from None

    def _stranger(self) -> Stranger:
        return Stranger(f"what answers at {self.url} is no Penstock server; name another with --url")

    def _told(self, response: urllib3.BaseHTTPResponse) -> PenstockError:
        """The error that a response tells, as its own class."""
        try:
            said = msgspec.json.decode(self._data(response))
            error = said["error"] if isinstance(said["error"], dict) else {**said, "message": said["error"]}
            return _error(str(error["code"]), str(error["message"]))
        except (msgspec.DecodeError, KeyError, TypeError):
            return self._stranger()


def _encoded(body: Any) -> bytes:
    try:
        return msgspec.json.encode(body)
    except UnicodeEncodeError:
        raise ConfigError("what is asked is not all text: some of its bytes are no UTF-8") from None


def _error(code: str, message: str) -> PenstockError:
    kind = by_code(code)
    error = kind.__new__(kind)
    PenstockError.__init__(error, f"{message}; {OUR_KEY}" if kind is Unauthenticated else message)
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
