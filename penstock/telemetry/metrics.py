"""The Prometheus page, made from the recorders when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from penstock.core.model import State
from penstock.telemetry import engines
from penstock.telemetry.caching import Labelled, families
from penstock.telemetry.recorder import Histogram, Recorder

LABELS = ("model", "version")
HISTOGRAMS = {
    "total": ("penstock_request_seconds", "Seconds from acceptance to the answer."),
    "queue": ("penstock_queue_seconds", "Seconds that a request waited while no worker was free."),
    "batch": ("penstock_batch_wait_seconds", "Seconds that a request waited for company while a worker was free."),
    "compute": ("penstock_compute_seconds", "Seconds that the request's batch spent in the model."),
}


class Measured(Protocol):
    """A model version as the metrics page sees it."""

    @property
    def labels(self) -> tuple[str, str]: ...

    @property
    def recorder(self) -> Recorder: ...

    @property
    def state(self) -> State: ...

    def gauges(self) -> dict[str, float]:
        """queue_depth, in_flight, workers and worker_restarts."""


class MetricsPage(Collector):
    """Collects every model version's numbers; `errors`: failed HTTP requests by code; `caches`: rows kept; `more`:
    what else there is, such as `RouteMetrics`."""

    def __init__(
        self,
        models: Callable[[], Iterable[Measured]],
        errors: Callable[[], dict[str, int]],
        caches: Callable[[], Iterable[Labelled]] = tuple,
        more: Callable[[], Iterable[Metric]] = tuple,
    ):
        self._models = models
        self._errors = errors
        self._caches = caches
        self._more = more
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def render(self) -> bytes:
        """The page in the text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Called by prometheus_client."""
        models = list(self._models())
        yield from _latencies(models)
        yield _batch_rows(models)
        yield _tokens(models)
        yield from _gauges(models)
        yield _restarts(models)
        yield _errors(models)
        yield from families(self._caches())
        yield from engines.families([model for model in models if isinstance(model, engines.Generating)])
        yield from self._more()
        yield self._http_errors()

    def _http_errors(self) -> Metric:
        family = CounterMetricFamily("penstock_http_errors", "HTTP requests answered with an error.", labels=["code"])
        for code, count in sorted(self._errors().items()):
            family.add_metric([code], count)
        return family


def _errors(models: Sequence[Measured]) -> Metric:
    family = CounterMetricFamily("penstock_errors", "A model's requests that failed.", labels=[*LABELS, "code"])
    for model in models:
        for code, count in sorted(model.recorder.errors.items()):
            family.add_metric([*model.labels, code], count)
    return family


def _latencies(models: Sequence[Measured]) -> Iterator[Metric]:
    for phase, (name, text) in HISTOGRAMS.items():
        family = HistogramMetricFamily(name, text, labels=LABELS)
        for model in models:
            _add(family, model, model.recorder.phases()[phase])
        yield family


def _batch_rows(models: Sequence[Measured]) -> Metric:
    family = HistogramMetricFamily("penstock_batch_rows", "Rows per batch.", labels=LABELS)
    for model in models:
        _add(family, model, model.recorder.batch_rows())
    return family


def _tokens(models: Sequence[Measured]) -> Metric:
    family = CounterMetricFamily("penstock_tokens", "Tokens that a text model has read.", labels=LABELS)
    for model in models:
        if model.recorder.tokens:
            family.add_metric(list(model.labels), model.recorder.tokens)
    return family


def _add(family: HistogramMetricFamily, model: Measured, histogram: Histogram) -> None:
    family.add_metric(list(model.labels), histogram.cumulative(), histogram.sum)


def _gauges(models: Sequence[Measured]) -> Iterator[Metric]:
    texts = {
        "queue_depth": "Requests that wait for a worker.",
        "in_flight": "Rows that workers are running.",
        "workers": "Workers that are up.",
    }
    for key, text in texts.items():
        family = GaugeMetricFamily(f"penstock_{key}", text, labels=LABELS)
        for model in models:
            family.add_metric(list(model.labels), model.gauges()[key])
        yield family
    ready = GaugeMetricFamily("penstock_model_ready", "1 when the model takes requests.", labels=LABELS)
    for model in models:
        ready.add_metric(list(model.labels), float(model.state is State.READY))
    yield ready


def _restarts(models: Sequence[Measured]) -> Metric:
    family = CounterMetricFamily("penstock_worker_restarts", "Workers that ended unasked.", labels=LABELS)
    for model in models:
        family.add_metric(list(model.labels), model.gauges()["worker_restarts"])
    return family
