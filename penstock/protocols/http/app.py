"""The protocols' entry: finds the door, gives every request an id, turns errors into answers."""

from __future__ import annotations

import math
import re
import secrets
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count

from penstock.core.access import masked
from penstock.core.clock import system_clock
from penstock.core.errors import (
    BadInput,
    Cancelled,
    Forbidden,
    Internal,
    MethodNotAllowed,
    NotFound,
    PenstockError,
    Unauthenticated,
    Unavailable,
    Unsupported,
)
from penstock.core.principal import ANYBODY, NOBODY, Guard, Principal
from penstock.protocols.aside import aside
from penstock.protocols.http import encoding, wire
from penstock.protocols.http.errors import error_response
from penstock.protocols.http.limits import HttpLimits
from penstock.protocols.http.message import OCTETS, HttpRequest, HttpResponse, NoBody
from penstock.protocols.http.routes import Found, Routes
from penstock.telemetry.logs import logger

log = logger("protocols")
LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]", "::1")
KEYS = frozenset((b"authorization", b"x-api-key", b"api-key"))
"""Headers that may hold a key."""
_SAFE_ID = re.compile(rb"[\x21-\x7e]{1,128}").fullmatch


class HttpApp:
    """Answers every request; never raises. `hosts`: names that Host may carry (None: any). `guard`: who may come in
    (None: everybody)."""

    def __init__(
        self,
        routes: Routes,
        limits: HttpLimits,
        *,
        hosts: Sequence[str] | None,
        access_log: bool = False,
        guard: Guard | None = None,
    ):
        self.errors: Counter[str] = Counter()
        self._routes = routes
        self._limits = limits
        self._guard = guard
        self._hosts = None if hosts is None else {host.lower().encode() for host in hosts}
        self._known_hosts: set[bytes] = set()
        self._access_log = access_log
        self._turned_away = 0
        self._said_at = -math.inf
        self._prefix = secrets.token_hex(6)
        self._next_id: Callable[[], int] = count(1).__next__

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        """The response to a request."""
        headers = request.headers
        try:
            request.id = self._request_id(headers.get(b"x-request-id"))
            if self._hosts is not None:
                self._check_host(headers.get(b"host", b""))
                if b"origin" in headers and request.method not in ("GET", "HEAD", "OPTIONS"):
                    self._check_origin(headers[b"origin"])
            if self._guard is None:
                found = self._routes.find(request.method, request.path)
            else:
                found, request.principal = self._let_in(self._guard, request)
            if b"content-encoding" in headers:
                await self._unpack(request)
            response = await found.door(request, *found.parameters)
            accept = headers.get(b"accept-encoding")
            if accept is not None and (coding := wanted_coding(accept, response)) is not None:
                await pack(response, coding)
        except PenstockError as error:
            response = self._failed(request, error)
            # The reply holds the error, and its frames the reply: nothing is left to the garbage collector.
            error.with_traceback(None)
        except GeneratorExit:
            self.errors[Cancelled.code] += 1
            log.info("client_left", request_id=request.id, status=Cancelled.status)
            raise
        except Exception:
            log.exception("bug", request_id=request.id, path=shown(request.path))
            response = self._failed(request, Internal("an internal error; the log has it under this request id"))
        return self._finished(request, response)

    def turn_away(self, request: HttpRequest) -> PenstockError | None:
        """Why a request is refused that has a body to come, so that nobody without a key takes up memory; None: it is
        to go on, perhaps to be refused once it is whole."""
        if self._guard is None:
            return None
        try:
            self._let_in(self._guard, request)
        except (Unauthenticated, Forbidden, Unavailable) as error:
            return error.with_traceback(None)
        except PenstockError:
            return None
        return None

    def refusal(self, error: PenstockError, path: bytes = b"") -> HttpResponse:
        """The response to a request that could not even be read."""
        self.errors[error.code] += 1
        request_id = self._request_id(None)
        response = error_response(error, request_id, path)
        response.headers = [*(response.headers or []), (b"x-request-id", request_id.encode())]
        return response

    def _let_in(self, guard: Guard, request: HttpRequest) -> tuple[Found, Principal]:
        """The door, and who comes in. Raises `Unauthenticated`, `Forbidden`, and what `Routes.find` does: what is here
        and what is not is told to those who are known."""
        try:
            found = self._routes.find(request.method, request.path)
        except (NotFound, MethodNotAllowed):
            known(guard, request.headers)
            raise
        if found.verb == "none":
            return found, seen(guard, request.headers)
        return found, guard.admit(request.headers, found.verb)

    async def _unpack(self, request: HttpRequest) -> None:
        """Undoes a body's content coding."""
        body, coding, limit = request.body, request.headers[b"content-encoding"], self._limits.body
        if len(body) < encoding.SMALL:
            request.body = encoding.decoded(body, coding, limit)
        else:
            request.body = await aside(encoding.decoded, body, coding, limit)

    def _failed(self, request: HttpRequest, error: PenstockError) -> HttpResponse:
        if isinstance(error, Unavailable):
            self._shed(request, error)
        elif error.status >= 500 or error.detail:
            # What is not offered here is no fault of the server's.
            say = log.info if isinstance(error, Unsupported) else log.error
            told = {"code": error.code, "status": error.status, "reason": error.message, "detail": error.detail}
            say("request_failed", request_id=request.id, **told)
        self.errors[error.code] += 1
        return error_response(error, request.id, request.path)

    def _shed(self, request: HttpRequest, error: Unavailable) -> None:
        """Says at most once a second that requests are turned away: under overload, logging is load too."""
        self._turned_away += 1
        now = system_clock()
        if now - self._said_at >= 1.0:
            log.warning(
                "turned_away",
                request_id=request.id,
                code=error.code,
                reason=error.message,
                detail=error.detail,
                requests=self._turned_away,
            )
            self._said_at, self._turned_away = now, 0

    def _finished(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        if response.headers is None:
            response.headers = []
        response.headers.append((b"x-request-id", request.id.encode()))
        if request.method == "HEAD":
            response = bodiless(response)
        if self._access_log:
            caller = {"tenant": request.principal.tenant, "key": request.principal.key}
            log.info(
                "request",
                request_id=request.id,
                method=request.method,
                path=shown(request.path),
                status=response.status,
                **(caller if caller["key"] else {}),
            )
        return response

    def _request_id(self, given: bytes | None) -> str:
        """The client's id when it is plain visible ASCII of at most 128 characters, else our own."""
        if given is not None and _SAFE_ID(given):
            return given.decode()
        return f"{self._prefix}-{self._next_id():x}"

    def _check_host(self, host: bytes) -> None:
        """Refuses foreign names on a loopback server: a web page must not reach it by DNS rebinding."""
        if host in self._known_hosts:
            return
        name = host_of(host)
        assert self._hosts is not None
        if not name:
            raise BadInput("the Host header is missing")
        if name not in self._hosts:
            raise Forbidden("this server answers only to its own host names; see --allow-host")
        if len(self._known_hosts) < 64:
            self._known_hosts.add(host)

    def _check_origin(self, origin: bytes) -> None:
        """Refuses what another site's page sends: browsers let it, and some requests cost much or change what is
        served."""
        assert self._hosts is not None
        if host_of(origin.rpartition(b"://")[2]) not in self._hosts:
            raise Forbidden("this server takes no requests from the pages of other sites; see --allow-host")


def shown(path: bytes) -> str:
    """A path as the log has it. What looks like a key is left out first: half of one would look like none."""
    return masked(path.decode(errors="replace"))[:200]


def known(guard: Guard, headers: dict[bytes, bytes]) -> None:
    """Raises `Unauthenticated` for somebody without a valid key."""
    with suppress(Forbidden):
        guard.admit(headers, "read")


def seen(guard: Guard, headers: dict[bytes, bytes]) -> Principal:
    """Who asks whether the server lives, which everybody may; details are for those who may read."""
    if not guard.asks:
        return ANYBODY
    if KEYS.isdisjoint(headers):
        return NOBODY
    try:
        return guard.admit(headers, "read")
    except (Unauthenticated, Forbidden, Unavailable):
        return NOBODY


def host_of(name: bytes) -> bytes:
    """A Host header's name without its port, in lower case."""
    name = name.lower()
    return name.partition(b"]")[0] + b"]" if name.startswith(b"[") else name.partition(b":")[0]


def wanted_coding(accept: bytes, response: HttpResponse) -> bytes | None:
    """The coding to pack a response in; None when the client does not ask for any, or it is not worth it."""
    size = wire.body_length(response.body) or 0
    if response.stream is not None or size < encoding.WORTH_IT:
        return None
    # Most clients list every coding they can read; one that names a single one wants it.
    if b"," in accept and (response.dense or response.content_type == OCTETS or size > encoding.AT_MOST):
        return None
    return encoding.accepted(accept)


async def pack(response: HttpResponse, coding: bytes) -> None:
    """Packs a response in place, a long one beside the event loop."""
    body = response.body if isinstance(response.body, bytes) else b"".join(response.body)
    if len(body) > encoding.AT_MOST:
        response.body = await aside(encoding.encoded, body, coding)
    else:
        response.body = encoding.encoded(body, coding)
    response.headers = [*(response.headers or []), (b"content-encoding", coding), (b"vary", b"accept-encoding")]


def bodiless(response: HttpResponse) -> HttpResponse:
    """A HEAD response: status and headers alone."""
    body = NoBody()
    body.length = wire.body_length(response.body) if response.stream is None else None
    return HttpResponse(response.status, body, response.content_type, response.headers)
