"""Assembly: stacks the steps of the path in order, and gives the whole a life of three calls."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from itertools import chain
from pathlib import Path

from prometheus_client.core import Metric

from penstock.admission.concurrency import AdaptiveConcurrency
from penstock.admission.feedback import FeedbackRate
from penstock.admission.gate import Gate
from penstock.config.books import Books
from penstock.config.models import deployment_settings, specs_of
from penstock.config.private import may, mounted, own_hosts
from penstock.config.routing import Routing
from penstock.config.schema import Config, HttpSettings
from penstock.core.clock import system_clock
from penstock.core.errors import ModelFileError
from penstock.core.model import ModelSpec
from penstock.core.request import Handler
from penstock.protocols.anthropic.door import Anthropic
from penstock.protocols.docs.pages import Docs
from penstock.protocols.feedback import FeedbackDoor
from penstock.protocols.http.app import HttpApp
from penstock.protocols.http.asgi import AsgiApp, asgi
from penstock.protocols.http.routes import Routes
from penstock.protocols.http.server import HttpServer
from penstock.protocols.oip.repository import OipRepository
from penstock.protocols.oip.rest import OipRest
from penstock.protocols.ollama.door import OllamaText
from penstock.protocols.ollama.embedding import OllamaEmbedding
from penstock.protocols.ollama.models import OllamaModels
from penstock.protocols.openai.door import OpenAI
from penstock.protocols.operations import Operations
from penstock.protocols.predict import Predict
from penstock.protocols.rerank import Rerank
from penstock.repository.pulling import Puller
from penstock.routing.items import ItemCache
from penstock.routing.names import Names
from penstock.runtimes.contract import Engine, Runtime
from penstock.scheduling.fleet import Fleet
from penstock.scheduling.settings import DeploymentSettings
from penstock.telemetry import answers
from penstock.telemetry.logs import logger
from penstock.telemetry.metrics import MetricsPage
from penstock.telemetry.routes import RouteMetrics

log = logger("app")


class App:
    """One server: protocols → admission → routing → scheduling → (in workers) runtimes.

    `http` is the app behind every HTTP server, our own or an ASGI one. `base`: the folder that files of the
    configuration start from. Raises `SetupError` for what it names and is not there.
    """

    def __init__(self, config: Config, base: Path | None = None):
        base = Path.cwd() if base is None else base
        self.config = config
        self.books = Books(config, base, self._inner())
        self.fleet = Fleet(config.drain_s)
        caches = {name: model.cache for name, model in config.models.items() if model.cache is not None}
        self.items = ItemCache(self.fleet, self.fleet, caches)
        self.routing = Routing(config, self.fleet, self.items, self.books.prices, self.books.ledger, base)
        self.router = self.routing.router()
        self.names = Names(self._bounded(self.router), self.fleet, config.aliases, config.routes)
        self.gate = Gate(self.names, config.admission, self._inner())
        self.accounts = self.books.accounts(self.gate, self.router)
        self.puller = Puller()
        self.feedback_rate = FeedbackRate(config.state.feedback_per_minute, system_clock)
        self.http = self._protocols(config.http, own_hosts(config.http))
        self.server = HttpServer(self.http, config.http.limits, self.http.refusal, _broken, self.http.turn_away)

    def _bounded(self, handler: Handler) -> Handler:
        """With a bound that follows how long requests take, where the settings want one."""
        adaptive = self.config.admission.adaptive
        return handler if adaptive is None else AdaptiveConcurrency(handler, adaptive, inner=self._inner())

    def _inner(self) -> set[str]:
        """Names of the models that other models call."""
        needed = {name for model in self.config.models.values() for name in model.needs}
        return needed | {a for a, target in self.config.aliases.items() if target.partition("@")[0] in needed}

    def _protocols(self, settings: HttpSettings, hosts: list[str] | None) -> HttpApp:
        routes, release = Routes(), version("penstock")
        more = self._route_metrics()
        metrics = MetricsPage(self.fleet.all, lambda: http.errors, self.items.scopes.counts, more)
        Predict(self.accounts, self.names, system_clock).mount(routes)
        OipRest(self.accounts, self.names, system_clock, release).mount(routes)
        lifecycle = self.fleet if may(settings.lifecycle, settings) else None
        puller = self.puller if may(settings.pull, settings) else None
        OipRepository(self.names, lifecycle).mount(routes)
        OpenAI(self.accounts, self.names, system_clock).mount(routes)
        Anthropic(self.accounts, self.names, system_clock).mount(routes)
        OllamaText(self.accounts, self.names, system_clock, lifecycle).mount(routes)
        OllamaEmbedding(self.accounts, self.names, system_clock, lifecycle).mount(routes)
        OllamaModels(self.accounts, self.names, release, puller=puller).mount(routes)
        Rerank(self.accounts, self.names, system_clock).mount(routes)
        Operations(self.names, metrics.render, release).mount(routes)
        Docs(self.names, release).mount(routes)
        FeedbackDoor(self.books.ledger if self.books.writer else None, self.feedback_rate).mount(routes)
        http = HttpApp(routes, settings.limits, hosts=hosts, access_log=settings.access_log, guard=self.books.guard)
        return http

    def _route_metrics(self) -> Callable[[], Iterable[Metric]]:
        routes = RouteMetrics(self.books.ledger, self.router, self.accounts, self.books.writer)
        caches = [route.responses for route in self.router.routes.values() if route.responses is not None]
        return lambda: chain(routes(), answers.families(caches))

    def add(
        self, spec: ModelSpec, settings: DeploymentSettings, create: Callable[[str], Runtime | Engine] | None = None
    ) -> None:
        """Adds a model version; `create` makes the runtime of an inline one."""
        self.fleet.add(spec, settings, create)

    def asgi(self) -> AsgiApp:
        """The same app as a plain ASGI callable, for another server or inside another app. Its lifespan
        starts and stops the models; where a mounted app gets none, call `start_models` and
        `stop_models` yourself: until then all but probes get 503. It needs API keys, or `http.open`.
        Host is checked only against `http.allowed_hosts`, if there are any."""
        self.books.guard.expose()
        settings = mounted(self.config.http)
        allowed = settings.allowed_hosts
        http = self._protocols(settings, None if "*" in allowed else list(allowed) or None)
        return asgi(http, settings.limits, self.start_models, self.stop_models)

    async def start_models(self) -> None:
        """Loads every model and waits for it. Raises `ModelFileError` naming those that failed, `ConfigError` when keys
        cannot be read, or there must be keys and are none."""
        await self.books.start()
        self.fleet.start()
        self._price()
        if failures := await self.loaded():
            raise ModelFileError("\n".join(f"model {name!r}: {why}" for name, why in failures.items()))

    async def stop_models(self) -> None:
        """Finishes accepted work, then stops the workers."""
        self.gate.draining = True
        self.puller.stop()
        await self.fleet.drain(self.config.drain_s)
        await self._close_books()

    async def start(self) -> None:
        """Listens, and begins to load every model; models may still be loading. Raises `ConfigError` where there must
        be keys and are none."""
        await self.books.start()
        await self.server.start(self.config.http.host, self.config.http.port)
        self.fleet.start(self.url, self.books.guard.internal_key)
        self._price()

    def _price(self) -> None:
        """Which share of the machine a model's worker takes is known once all of them are."""
        for deployment in self.fleet.all():
            self.books.prices.add(deployment.spec, deployment.settings.threads or self.fleet.share)
        self.routing.warn()

    @property
    def url(self) -> str:
        """Where it answers on this machine, once it listens."""
        host = self.config.http.host
        return f"http://{'127.0.0.1' if host == '0.0.0.0' else f'[{host}]' if ':' in host else host}:{self.server.port}"

    async def loaded(self) -> Mapping[str, str]:
        """Waits until every model is ready or has failed; returns the failures by name."""
        await self.fleet.loaded()
        return {d.spec.name: d.failure.message for d in self.fleet.all() if d.failure is not None}

    async def drain(self) -> None:
        """Takes no more requests, finishes the accepted ones, then ends."""
        log.info("draining", seconds=self.config.drain_s)
        self.gate.draining = self.fleet.draining = self.server.draining = True
        self.puller.stop()
        until = system_clock() + self.config.drain_s
        await self.fleet.drain(self.config.drain_s)
        await self.server.drain(max(0.0, until - system_clock()))
        await self._close_books()

    async def abort(self) -> None:
        """Ends now."""
        self.server.abort()
        await self.fleet.close()
        await self._close_books()

    async def _close_books(self) -> None:
        """Gives up what nobody waits for, and writes down the rest."""
        await self.router.stop()
        await self.books.stop()
        await self.routing.stop()


def build(config: Config, base: Path) -> App:
    """An app with every model of the configuration; relative sources start at `base`.

    Raises `SetupError` for a source that cannot be found, is not trusted, or needs an extra.
    """
    app = App(config, base)
    for spec, model in zip(specs_of(config.models, base), config.models.values(), strict=True):
        app.add(spec, deployment_settings(model))
    return app


def _broken(error: BaseException) -> None:
    log.error("exchange_broken", error=repr(error))
