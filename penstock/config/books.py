"""Who may come in, what answers cost, and where that is written down: put together from the configuration."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from penstock.admission.accounts import Accounts
from penstock.admission.keys.guard import KeyGuard
from penstock.admission.keys.store import KeyStore
from penstock.admission.limits.shared import SharedLimits
from penstock.admission.limits.spent import Past
from penstock.config.private import public
from penstock.config.schema import Config
from penstock.core.reply import Meta
from penstock.core.request import Handler, Request
from penstock.routing.router import Router
from penstock.storage.database import Database
from penstock.storage.place import NONE
from penstock.telemetry.counts import Counted
from penstock.telemetry.ledger.writer import LedgerWriter
from penstock.telemetry.prices.book import PriceBook


class Books:
    """`database`: None where nothing is kept. `inner`: names of models that other models call."""

    def __init__(self, config: Config, base: Path, inner: Collection[str]):
        self._config = config
        self.database = None if config.state.url == NONE else Database(config.state.url, base)
        store = None if self.database is None else KeyStore(self.database)
        http = config.http
        self.guard = KeyGuard(store, public(http), open=http.open, inner=inner, settings=config.keys)
        self.writer = None if self.database is None else LedgerWriter(self.database, config.state)
        self.ledger = Counted(self.writer)
        self.prices = PriceBook.load(config.prices)
        self._accounts: Accounts | None = None

    def accounts(self, handler: Handler, router: Router) -> Accounts:
        """The step that checks limits and writes down what requests took."""
        prices, aliases = self.prices, self._config.aliases

        def cost(meta: Meta, _: Request) -> float | None:
            return prices.cost(meta.model, meta)

        def premium(meta: Meta, _: Request) -> float | None:
            route = router.routes.get(meta.route)
            return None if route is None else prices.premium(route.targets, meta)

        def expected(name: str, prompt: float, answer: float) -> float:
            name = aliases.get(name, name)
            route = router.routes.get(name)
            return max(prices.expected(n, round(prompt), round(answer)) for n in (route.targets if route else (name,)))

        redis = self._config.state.redis
        shared = SharedLimits(redis) if redis and self._config.tenants else None
        self._accounts = Accounts(
            handler, self._config.tenants, cost, self.ledger, premium=premium, shared=shared, expect=expected
        )
        return self._accounts

    async def start(self) -> None:
        """Reads keys and what budgets had been used. Raises `ConfigError` where the server must not be without
        keys."""
        await self.guard.start()
        if self._accounts is not None:
            await self._accounts.start(None if self.database is None else Past(self.database))

    async def stop(self) -> None:
        """Writes what is left."""
        if self._accounts is not None:
            await self._accounts.stop()
        if self.writer is not None:
            await self.writer.stop()
        await self.guard.stop()
