"""GET /api/tags, /api/ps and /api/version, POST /api/show and /api/pull: models, for Ollama's clients."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import Any, Protocol

import msgspec

from penstock.core.errors import (
    BadInput,
    ConfigError,
    Forbidden,
    HubUnreachable,
    Internal,
    MissingExtra,
    ModelFileError,
    PenstockError,
    ProviderFailed,
    SetupError,
    Unavailable,
    Unsupported,
)
from penstock.core.model import Catalog, State
from penstock.core.request import Handler
from penstock.protocols.aside import aside
from penstock.protocols.generation.ask import Asker
from penstock.protocols.http.message import HttpRequest, HttpResponse
from penstock.protocols.http.routes import Routes
from penstock.protocols.ollama import described
from penstock.protocols.ollama.described import Pulled
from penstock.protocols.ollama.finding import find
from penstock.protocols.ollama.lines import JSON_LINES, encoded, now
from penstock.protocols.ollama.messages import NAME_FIELDS, NAME_NOT_OFFERED, NameRequest, check_offered
from penstock.protocols.reading import read, wrong
from penstock.protocols.tasks import ending_with_its_client
from penstock.protocols.visible import visible
from penstock.telemetry.logs import logger

log = logger("protocols")
_names = msgspec.json.Decoder(NameRequest)
NOT_OFFERED = {
    "/api/create": ("POST", "models are not made here; penstock quantize makes smaller ones"),
    "/api/copy": ("POST", "a name for a model is an alias in the configuration"),
    "/api/push": ("POST", "models are not uploaded from here"),
    "/api/delete": ("DELETE", "penstock rm NAME removes a pulled model"),
}
"""What else clients may ask for, and what to do instead."""


class Puller(Protocol):
    """Fetches models while the server goes on with its work."""

    def pull(self, name: str) -> AsyncIterator[dict[str, Any]]:
        """Reports, as they come: each has a `status`, and `total` and `completed` bytes while something is fetched.

        Raises `PenstockError` when the model cannot be had. Closing it gives the download up; it may be resumed.
        """


class OllamaModels:
    """`pulled`: the models on disk, read in a thread. `puller`: None where clients may not fetch any."""

    def __init__(
        self,
        handler: Handler,
        models: Catalog,
        version: str,
        pulled: Callable[[], Sequence[Pulled]] = described.on_disk,
        puller: Puller | None = None,
    ):
        self._models = models
        self._version = version
        self._pulled = pulled
        self._puller = puller
        self._asker = Asker(handler, models, lambda: 0.0)
        self._since = now()

    def mount(self, routes: Routes) -> None:
        """Adds the door's paths."""
        routes.add("GET", "/api/version", self.version, "read")
        routes.add("GET", "/api/tags", self.tags, "read")
        routes.add("GET", "/api/ps", self.loaded, "read")
        routes.add("POST", "/api/show", self.show, "read")
        routes.add("POST", "/api/pull", self.pull, "manage")
        for path, (method, _) in NOT_OFFERED.items():
            routes.add(method, path, self.not_offered, "manage")

    async def version(self, http: HttpRequest) -> HttpResponse:
        """GET /api/version"""
        return _json({"version": self._version})

    async def tags(self, http: HttpRequest) -> HttpResponse:
        """GET /api/tags: what is served, and what was pulled and could be."""
        models = visible(self._models, http.principal)
        named = [(v.spec.name, v) for v in models.all()] + [(p.name, models.find(p.name)) for p in models.public()]
        served = {name: described.listed(name, v, self._since) for name, v in named if described.speaks(v)}
        pulled = await self._on_disk() if http.principal.routes is None else ()
        more = [described.listed_pulled(p) for p in pulled if p.name not in served]
        return _json({"models": [*served.values(), *more]})

    async def _on_disk(self) -> Sequence[Pulled]:
        try:
            return await aside(self._pulled)
        except SetupError as error:
            log.warning("pulled_models_unknown", reason=error.message)
            return ()

    async def loaded(self, http: HttpRequest) -> HttpResponse:
        """GET /api/ps: what is loaded."""
        served = visible(self._models, http.principal).all()
        ready = [v for v in served if v.state is State.READY and described.speaks(v)]
        return _json({"models": [described.loaded(view) for view in ready]})

    async def show(self, http: HttpRequest) -> HttpResponse:
        """POST /api/show: a served model."""
        name = _name(_named(http))
        found = await find(self._asker, http, name)
        return _json(described.shown(found.view, self._since))

    async def pull(self, http: HttpRequest) -> HttpResponse:
        """POST /api/pull: fetches a model to this machine's disk; it is not served by that."""
        message = _named(http)
        name = _name(message)
        if self._puller is None:
            raise Forbidden("this server fetches no models for its clients; run penstock pull on its machine")
        reports = self._puller.pull(name)
        if message.stream is False:
            return _json(await ending_with_its_client(_last(reports)))
        first = await ending_with_its_client(_next(reports))
        return HttpResponse(200, b"", JSON_LINES, stream=_lines(first, reports, http.id))

    async def not_offered(self, http: HttpRequest) -> HttpResponse:
        """What only Ollama does."""
        path = http.path.decode().rstrip("/")
        raise Unsupported(f"{path} is not offered: {NOT_OFFERED[path][1]}")


async def _next(reports: AsyncIterator[dict[str, Any]]) -> dict[str, Any] | None:
    """The next report, or None after the last. Raises the error for a client."""
    try:
        return await anext(reports, None)
    except SetupError as error:
        raise _told(error) from None


def _told(error: SetupError) -> PenstockError:
    """What a client is told: what is wrong with the model asked for is wrong with the request; the hub may come back;
    and the rest is this machine's, such as a full disk."""
    if isinstance(error, HubUnreachable):
        return ProviderFailed(error.message, retry_after_s=30)
    if isinstance(error, MissingExtra):
        return Unsupported(error.message)
    if isinstance(error, ModelFileError | ConfigError):
        return BadInput(error.message)
    return Unavailable(error.message, retry_after_s=None)


async def _last(reports: AsyncIterator[dict[str, Any]]) -> dict[str, Any] | None:
    """The last report. Cancelled, it gives the download up."""
    last = None
    try:
        while (report := await _next(reports)) is not None:
            last = report
    finally:
        await _close(reports)
    return last


async def _close(reports: AsyncIterator[dict[str, Any]]) -> None:
    if aclose := getattr(reports, "aclose", None):
        await aclose()


async def _lines(
    first: dict[str, Any] | None, reports: AsyncIterator[dict[str, Any]], request_id: str
) -> AsyncGenerator[bytes, None]:
    """The stream's bytes; an error is its last line."""
    try:
        report = first
        while report is not None:
            yield encoded(report)
            report = await _next(reports)
    except PenstockError as error:
        yield encoded({"error": error.message, "code": error.code, "request_id": request_id})
    except Exception:
        log.exception("bug", request_id=request_id, path="/api/pull")
        told = Internal("an internal error; the log has it under this request id")
        yield encoded({"error": told.message, "code": told.code, "request_id": request_id})
    finally:
        await _close(reports)


def _named(http: HttpRequest) -> NameRequest:
    message = read(_names, http.body, NAME_FIELDS)
    check_offered(message, NAME_NOT_OFFERED)
    return message


def _name(message: NameRequest) -> str:
    name = message.model or message.name
    if not name:
        raise wrong("model", f"model is missing; it is {NAME_FIELDS['model']}")
    return name


def _json(value: Any) -> HttpResponse:
    return HttpResponse(200, msgspec.json.encode(value))
