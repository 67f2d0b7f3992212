"""The metrics of routes and money, read back by Prometheus' own parser."""

from __future__ import annotations

import time

from prometheus_client.parser import text_string_to_metric_families

from penstock.admission.accounts import Accounts
from penstock.core.clock import StillClock
from penstock.core.errors import ProviderFailed, QuotaExceeded
from penstock.core.ledger import Feedback
from penstock.core.reply import Reply
from penstock.core.request import Request
from penstock.routing.failure.breaker import BreakerSettings
from penstock.routing.failure.budget import RetryBudget, RetrySettings
from penstock.routing.failure.ladder import Ladder, LadderSettings
from penstock.routing.pool import Pool
from penstock.storage.contract import StateSettings
from penstock.storage.database import Database
from penstock.telemetry.counts import Counted
from penstock.telemetry.ledger.writer import LedgerWriter
from penstock.telemetry.metrics import MetricsPage
from penstock.telemetry.routes import RouteMetrics
from tests.telemetry.kept import Kept
from tests.telemetry.ledger.conftest import NOW, entry, prediction


class OneRoute:
    """What a route shows of itself."""

    def __init__(self) -> None:
        self.ladder = Ladder(LadderSettings(steps=("small", "refuse"), enter_ms=10, window_ms=10))


class Routing:
    """What a router shows of itself, with real parts."""

    def __init__(self) -> None:
        self.routes = {"chat": OneRoute()}
        self.pool = Pool(BreakerSettings(failures=2))
        self.budget = RetryBudget(RetrySettings())


def read(metrics: RouteMetrics) -> dict[str, float]:
    """Every sample of the page, as name{labels}."""
    text = MetricsPage(list, dict, more=metrics).render().decode()
    return {
        f"{sample.name}{{{','.join(f'{key}={value}' for key, value in sorted(sample.labels.items()))}}}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_requests_and_money() -> None:
    behind = Kept()
    counted = Counted(behind)
    for one in (
        entry("a", cost=0.002, premium=0.01, cache="miss", tries=2),
        entry("b", cost=0.0, premium=0.01, cache="hit"),
        entry("c", status=502, code="provider_failed", cost=0.0, premium=None),
        entry("d", degraded="small", cost=None),
        prediction("e", cost=0.5),
    ):
        counted.record(one)
    counted.feedback(Feedback("a", "acme", NOW, 0.25))
    found = read(RouteMetrics(counted))
    assert found["penstock_route_requests_total{code=ok,model=small,route=chat}"] == 3
    assert found["penstock_route_requests_total{code=provider_failed,model=small,route=chat}"] == 1
    assert found["penstock_route_tries_total{route=chat}"] == 5
    assert found["penstock_route_cache_total{result=hit,route=chat}"] == 1
    assert found["penstock_route_degraded_total{route=chat,step=small}"] == 1
    assert found["penstock_cost_usd_total{model=small,route=chat}"] == 0.002
    assert found["penstock_cost_usd_total{model=iris,route=}"] == 0.5
    assert found["penstock_premium_usd_total{route=chat}"] == 0.03
    assert found["penstock_unpriced_requests_total{model=small,route=chat}"] == 1
    assert found["penstock_feedback_total{source=user}"] == 1
    assert found["penstock_feedback_score_total{source=user}"] == 0.25
    assert [one.id for one in behind.entries] == ["a", "b", "c", "d", "e"]
    assert len(behind.scores) == 1


def test_breakers_and_ladders() -> None:
    clock, router = StillClock(), Routing()
    metrics = RouteMetrics(Counted(), router, clock=clock)
    for _ in range(2):
        router.pool.asked("big", clock())
        router.pool.failed("big", ProviderFailed("it is down"), clock())
    router.pool.asked("small", clock())
    router.pool.answered("small", 0.5, 0.0, clock())
    router.pool.asked("small", clock())
    for _ in range(3):
        router.routes["chat"].ladder.waited(1.0, clock())
        clock.advance(0.02)
    assert router.budget.take()
    found = read(metrics)
    assert found["penstock_route_model_ejected{model=big}"] == 1
    assert found["penstock_route_model_ejected{model=small}"] == 0
    assert found["penstock_route_model_failures_total{model=big}"] == 2
    assert found["penstock_route_model_answers_total{model=small}"] == 1
    assert found["penstock_route_model_running{model=small}"] == 1
    assert found["penstock_route_model_seconds{model=small}"] == 0.5
    assert found["penstock_route_step{route=chat}"] >= 1
    assert found["penstock_retries_running{}"] == 1


async def _refuse(request: Request) -> Reply:
    raise QuotaExceeded("not now")


def test_limits() -> None:
    accounts = Accounts(_refuse, {}, lambda meta, request: None, Kept())
    accounts.refused["acme", "requests"] += 3
    found = read(RouteMetrics(Counted(), limits=accounts))
    assert found["penstock_limit_refusals_total{limit=requests,tenant=acme}"] == 3


def test_the_ledger_itself(tmp_path: object) -> None:
    writer = LedgerWriter(Database(f"sqlite:///{tmp_path}/penstock.db"), StateSettings())
    found = read(RouteMetrics(Counted(writer), ledger=writer))
    assert found["penstock_ledger_up{}"] == 1
    assert found["penstock_ledger_waiting{}"] == 0


def test_counting_is_cheap() -> None:
    counted, one = Counted(), entry()
    began = time.perf_counter()
    for _ in range(100_000):
        counted.record(one)
    assert (time.perf_counter() - began) / 100_000 < 30e-6
    assert read(RouteMetrics(counted))["penstock_route_requests_total{code=ok,model=small,route=chat}"] == 100_000


def test_a_server_without_routes_shows_none() -> None:
    assert not [name for name in read(RouteMetrics(Counted())) if "route" in name]
