"""The metrics of routes, money, failures and limits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from penstock.core.clock import Clock, system_clock
from penstock.telemetry.counts import Counted, Group, Totals
from penstock.telemetry.observed import Limiting, Routing, Writing

OK = "ok"
"""The code of a request that was answered."""


class RouteMetrics:
    """Families for the metrics page, of whatever of these there is."""

    def __init__(
        self,
        counted: Counted,
        router: Routing | None = None,
        limits: Limiting | None = None,
        ledger: Writing | None = None,
        clock: Clock = system_clock,
    ):
        self._counted = counted
        self._router = router
        self._limits = limits
        self._ledger = ledger
        self._clock = clock

    def __call__(self) -> Iterator[Metric]:
        """All of them, now."""
        totals = list(self._counted.totals.items())
        yield from _requests(totals)
        yield from _money(totals)
        yield from self._feedback()
        if self._router is not None:
            yield from self._models(self._router)
            yield from self._ladders(self._router)
        if self._limits is not None:
            yield from _limits(self._limits)
        if self._ledger is not None:
            yield from _written(self._ledger)

    def _feedback(self) -> Iterator[Metric]:
        scores = self._counted.scores
        if scores:
            yield _counter(
                "feedback", "Scores of answers.", {(name,): count for name, (count, _) in scores.items()}, "source"
            )
            total = {(name,): score for name, (_, score) in scores.items()}
            yield _counter("feedback_score", "Their sum, each from 0 to 1.", total, "source")

    def _models(self, router: Routing) -> Iterator[Metric]:
        now, members = self._clock(), list(router.pool)
        yield _gauge("retries_running", "Retries on their way.", {(): router.budget.retrying})
        if not members:
            return
        ejected = {(m.name,): float(m.breaker.ejected(now)) for m in members}
        yield _gauge("route_model_ejected", "1 while routes leave the model out because it failed.", ejected, "model")
        running = {(m.name,): m.in_flight for m in members}
        yield _gauge("route_model_running", "Requests that routes have at the model.", running, "model")
        latency = {(m.name,): seconds for m in members if (seconds := m.latency_s(now)) is not None}
        yield _gauge("route_model_seconds", "Seconds to a whole answer, a moving average.", latency, "model")
        yield _counter("route_model_answers", "Answers of the model.", {(m.name,): m.answers for m in members}, "model")
        failures = {(m.name,): m.failures for m in members}
        yield _counter("route_model_failures", "Failures of the model.", failures, "model")

    def _ladders(self, router: Routing) -> Iterator[Metric]:
        now = self._clock()
        steps = {(name,): route.ladder.at(now) for name, route in router.routes.items() if route.ladder is not None}
        if steps:
            yield _gauge("route_step", "The step of the degradation ladder, 0 for full answers.", steps, "route")


Rows = Iterable[tuple[Group, Totals]]


def _requests(totals: Rows) -> Iterator[Metric]:
    routed = [(group, total) for group, total in totals if group.route]
    if not routed:
        return
    requests = _summed(routed, lambda g: (g.route, g.model, g.code or OK), lambda t: t.requests)
    yield _counter("route_requests", "Requests of a route that have ended.", requests, "route", "model", "code")
    tries = _summed(routed, lambda g: (g.route,), lambda t: t.tries)
    yield _counter("route_tries", "Models that were asked for them.", tries, "route")
    cached = _summed([r for r in routed if r[0].cache], lambda g: (g.route, g.cache), lambda t: t.requests)
    yield _counter("route_cache", "Answers that were kept, or had to be made.", cached, "route", "result")
    degraded = _summed([r for r in routed if r[0].degraded], lambda g: (g.route, g.degraded), lambda t: t.requests)
    yield _counter("route_degraded", "Answers by a step of the degradation ladder.", degraded, "route", "step")


def _money(totals: Rows) -> Iterator[Metric]:
    totals = [row for row in totals if row[0].model]
    where: Callable[[Group], tuple[str, ...]] = lambda g: (g.model, g.route)  # noqa: E731
    yield _counter(
        "cost_usd", "USD that answers have cost.", _summed(totals, where, lambda t: t.cost), "model", "route"
    )
    unpriced = _summed(totals, where, lambda t: t.unpriced)
    yield _counter("unpriced_requests", "Answers whose price nobody knows.", unpriced, "model", "route")
    premium = _summed([r for r in totals if r[0].route], lambda g: (g.route,), lambda t: t.premium)
    if premium:
        yield _counter("premium_usd", "USD that the dearest model of the route would have cost.", premium, "route")


def _limits(limits: Limiting) -> Iterator[Metric]:
    if limits.refused:
        yield _counter("limit_refusals", "Requests over a limit.", dict(limits.refused), "tenant", "limit")
    left = {(tenant, scope, quota.name): quota.remaining for tenant, scope, quota in limits.quotas()}
    if left:
        yield _gauge(
            "limit_left", "What is left of a limit: requests, tokens or USD.", left, "tenant", "scope", "limit"
        )


def _written(ledger: Writing) -> Iterator[Metric]:
    yield _counter("ledger_rows", "Rows that the ledger has written.", {(): ledger.written})
    yield _counter("ledger_lost", "Feedback that found no room.", {(): ledger.lost})
    yield _gauge("ledger_waiting", "Rows, sums and feedback that wait to be written.", {(): ledger.waiting})
    yield _gauge("ledger_up", "1 when the last write succeeded.", {(): float(ledger.up)})


def _summed(
    totals: Rows, labels: Callable[[Group], tuple[str, ...]], value: Callable[[Totals], float]
) -> dict[tuple[str, ...], float]:
    found: dict[tuple[str, ...], float] = {}
    for group, total in totals:
        found[labels(group)] = found.get(labels(group), 0.0) + value(total)
    return found


def _counter(name: str, text: str, values: Mapping[Any, float], *labels: str) -> Metric:
    return _filled(CounterMetricFamily(f"penstock_{name}", text, labels=labels), values)


def _gauge(name: str, text: str, values: Mapping[Any, float], *labels: str) -> Metric:
    return _filled(GaugeMetricFamily(f"penstock_{name}", text, labels=labels), values)


def _filled(family: CounterMetricFamily | GaugeMetricFamily, values: Mapping[Any, float]) -> Metric:
    for labels, value in sorted(values.items()):
        family.add_metric(list(labels), value)
    return family
