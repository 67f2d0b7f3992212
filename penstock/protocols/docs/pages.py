"""/openapi.json and /docs: the description of what is served, for machines and people."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files

import msgspec

from penstock.core.errors import PenstockError
from penstock.core.model import Catalog
from penstock.core.principal import Verb
from penstock.protocols.http.message import Headers, HttpRequest, HttpResponse
from penstock.protocols.http.routes import Routes
from penstock.protocols.visible import visible

HTML = b"text/html; charset=utf-8"
HOME = b'{"docs":"docs","openapi":"openapi.json"}'


class Docs:
    """The page is the same for everyone; it draws itself from /openapi.json, and needs no network beyond."""

    def __init__(self, models: Catalog, version: str):
        self._models = models
        self._version = version
        self._page: tuple[bytes, Headers] | None = None
        self._routes = Routes()

    def mount(self, routes: Routes) -> None:
        """Adds the paths."""
        self._routes = routes
        routes.add("GET", "/", self.home, "read")
        routes.add("GET", "/docs", self.docs, "read")
        routes.add("GET", "/openapi.json", self.openapi, "read")

    async def home(self, http: HttpRequest) -> HttpResponse:
        """GET /: the way to the page, also below a prefix. Browsers are sent there; others, which look whether somebody
        is here, are told that it is so."""
        headers: Headers = [(b"vary", b"accept")]
        if b"text/html" not in http.headers.get(b"accept", b""):
            return HttpResponse(200, HOME, headers=headers)
        return HttpResponse(307, HOME, headers=[*headers, (b"location", b"docs")])

    async def docs(self, http: HttpRequest) -> HttpResponse:
        """GET /docs"""
        if self._page is None:
            self._page = page()
        body, headers = self._page
        return HttpResponse(200, body, HTML, list(headers))

    async def openapi(self, http: HttpRequest) -> HttpResponse:
        """GET /openapi.json"""
        from penstock.protocols.docs.openapi import document

        models = visible(self._models, http.principal)
        routes = [models.find(public.name) for public in models.public() if public.kind == "route"]
        body = msgspec.json.encode(document([*models.all(), *routes], self._version, self._verb))
        return HttpResponse(200, body, headers=[(b"cache-control", b"no-cache")])

    def _verb(self, method: str, path: str) -> Verb:
        """What the callers of a path have to be allowed; of one that is not mounted here, to read."""
        try:
            return self._routes.search(method, path.encode()).verb
        except PenstockError:
            return "read"


def page() -> tuple[bytes, Headers]:
    """The page with its style and script inside, and headers that let nothing else run."""
    folder = files("penstock.protocols.docs")
    style, script = (folder.joinpath(name).read_text("utf-8") for name in ("page.css", "page.js"))
    html = folder.joinpath("page.html").read_text("utf-8").replace("/*STYLE*/", style).replace("/*SCRIPT*/", script)
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    headers = [
        (b"content-security-policy", policy.encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
        (b"cache-control", b"no-cache"),
    ]
    return html.encode(), headers


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
